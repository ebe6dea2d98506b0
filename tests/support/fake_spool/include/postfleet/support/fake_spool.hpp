// FakeSpool: the in-memory twin of RocksSpool, for tests of what stands above the ports Spool and EventLog.
//
// It keeps their promises (tests/contract/spool_contract.hpp runs on both) and breaks them on request:
//
//   fail_next_commits(n, e)  the next n commits complete with e and leave nothing
//   latch(r), recover()      as after a failed sync, and back
//   space_low(on)            acceptance is refused, outcomes are taken
//   hold(), release(n)       completions wait, and so does what they would make visible, until released
//   lose_unconfirmed()       power loss: what is held is gone, without a completion
//   restart()                a new process: unconfirmed batches and orphaned content are gone
//   corrupt_content(id)      reading this message's content gives Corruption
//   forget_taken()           no id was taken any more
//
// Completions are posted to their executor, in order. Threads: thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "postfleet/ports/event_log.hpp"
#include "postfleet/ports/spool.hpp"

namespace postfleet::support {

class FakeSpool final : public Spool, public EventLog {
public:
    void commit(SpoolBatch batch, Completion<Status> done) override;
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override;
    void discard_content(MessageId id, std::uint32_t chunks) override;
    void load(TaskKey key, Completion<Result<Loaded>> done) override;
    void load_facts(std::vector<TaskKey> keys, Completion<Result<std::vector<Loaded>>> done) override;
    void has_message(MessageId id, Completion<Result<bool>> done) override;
    void was_taken(MessageId taken_as, Completion<Result<bool>> done) override;
    void read_chunk(MessageId id, std::uint32_t chunk, Completion<Result<SharedOctets>> done) override;
    void load_tasks(std::vector<TaskKey> keys, Completion<Result<std::vector<Task>>> done) override;
    Status scan_tasks(UniqueFunction<void(Task&&)> visit) override;
    void put_note(std::string name, std::string value, Completion<Status> done) override;
    std::vector<std::pair<std::string, std::string>> notes() override;
    SpoolState state() const override;
    void on_state_change(Executor& on, UniqueFunction<void(SpoolState)> changed) override;
    Statistics statistics() const override;

    Result<std::uint64_t> open_cursor(const std::string& name) override;
    Status keep_only_cursors(const std::vector<std::string>& names) override;
    Result<std::vector<LoggedEvent>> read(std::uint64_t after, std::size_t max_events) override;
    void wait(std::uint64_t after, SteadyTime until) override;
    Status advance(const std::string& cursor, std::uint64_t number) override;
    std::uint64_t last_number() const override;
    std::uint64_t octets_after(std::uint64_t number) const override;  // 100 each
    void stop() override;

    void fail_next_commits(unsigned count, Error error);
    void latch(std::string reason);
    void recover();
    void space_low(bool on);
    void hold();
    void release(std::size_t count = SIZE_MAX);
    void lose_unconfirmed();
    void restart();
    void corrupt_content(const MessageId& id);
    void forget_taken();

    // What a test looks at.
    std::size_t held() const;
    std::vector<Task> tasks() const;
    std::vector<Event> events() const;  // every one that was ever committed, in order
    std::size_t messages() const;

private:
    struct Held {
        UniqueFunction<Status()> apply;
        Completion<Status> done;
    };
    void take(UniqueFunction<Status()> apply, Completion<Status> done, SpoolBatch::Urgency urgency);
    Status apply(SpoolBatch& batch);
    void drop_repeated(const SpoolBatch& batch);
    void drop_passed_events();
    void drop_orphans();
    void change(SpoolCondition condition, std::string reason);
    Result<SharedOctets> chunk_of(const MessageId& id, std::uint32_t chunk) const;

    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::map<MessageId, std::shared_ptr<const Message>> messages_;
    std::map<std::pair<MessageId, std::uint32_t>, SharedOctets> content_;
    std::map<TaskKey, Task> tasks_;
    std::map<std::string, std::string> notes_;
    std::map<std::uint64_t, std::shared_ptr<const Event>> events_;
    std::map<std::string, std::uint64_t> cursors_;
    bool readers_known_ = false;
    std::vector<std::shared_ptr<const Event>> history_;
    std::set<MessageId> corrupt_, taken_;
    std::uint64_t last_number_ = 0;
    bool stopped_ = false;
    bool holding_ = false;
    std::deque<Held> held_;
    unsigned failures_left_ = 0;
    Error failure_;
    SpoolState state_;
    Statistics statistics_;
    Executor* watcher_ = nullptr;
    std::shared_ptr<UniqueFunction<void(SpoolState)>> changed_;  // shared with posts that have not run yet
};

}  // namespace postfleet::support
