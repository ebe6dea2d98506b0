// Writer: makes things durable, one group at a time, or two on a slow disk.
//
//   take everything that waits -> one group -> one write and one sync -> index -> completions
//
// Two lanes, a thread each, do all of this. Who forms a group holds the right to form until the group is finished; while
// the disk takes long for a write, it passes the right on before it syncs, and the other lane writes a group meanwhile.
// Groups are finished in their order: what is behind one that failed fails, too, and a group that must ask the index
// waits until nothing is under way.
//
// Completions go out with one post() per executor and group. When a write or a sync fails, the group and
// everything behind it fails with Unavailable, and nothing is taken until a group has been written and synced
// to a fresh segment (Latched). When the index fails, what is in the log stays confirmed; the index is opened
// again and the log applied to it.
//
// Threads: push() thread-safe; the threads are the writer's own. The destructor writes what waits, then stops.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "condition.hpp"
#include "index.hpp"
#include "postfleet/base/log.hpp"
#include "write_queue.hpp"

namespace postfleet::spool {

struct Counters {
    std::atomic<std::uint64_t> commits{0}, synced_writes{0}, octets_written{0}, latches{0}, quarantined{0};
    std::atomic<std::uint64_t> sync_nanoseconds{0}, free_octets{0}, content_moved_octets{0};
    std::atomic<std::uint64_t> moving_octets{0};  // content on its way to a new place
    std::atomic<std::uint64_t> groups_missing{0}, tails_torn{0}, repeated{0};
};

// What the spool's threads share. Everything outlives them.
struct Parts {
    Files& files;
    SegmentLog& log;
    Index& index;
    Outbox& outbox;
    Condition& condition;
    Counters& counters;
    // Held by the housekeeper while it works, and by the writer while it makes the index again.
    std::mutex& maintenance;
    Log lines;
};

class Writer {
public:
    struct Options {
        std::string directory;
        std::uint64_t min_free = 0;
        std::uint64_t max_group = 0;
        Duration outcome_delay{};
        Duration slow_write{};         // that takes this long lets another group be written meanwhile
        std::uint32_t taken_days = 0;  // before today, that an id is looked for in
    };
    Writer(Parts parts, Options options, std::function<Status()> rebuild_index);
    ~Writer();

    void push(WriteItem item) { queue_.push(std::move(item)); }
    std::uint64_t octets_in_flight() const { return queue_.octets_in_flight(); }

private:
    using Form = std::unique_lock<std::mutex>;

    // On its way from the queue to those who wait for it.
    struct Group {
        std::vector<WriteItem> items;
        std::uint64_t octets = 0;
        SegmentFacts touched;
        std::uint64_t turn = 0;
        SteadyTime begun{};
        Result<std::shared_ptr<File>> written = std::shared_ptr<File>();  // to be synced
    };

    void run(std::size_t lane);

    // With the right to form.
    void take_turn(std::size_t lane, Form& form);
    void wait_for_company();
    bool is_ready_to_write();
    std::size_t group_size() const;
    bool asks_index(std::size_t items) const;
    void add_cursors();
    std::vector<WriteItem> next_items();
    void drop_stale_moves(std::vector<WriteItem>& group);
    void drop_repeated(std::vector<WriteItem>& group);
    bool has_chunks(const WriteItem::Once& once, const std::vector<WriteItem>& group, std::size_t at);
    Result<bool> is_there(Column column, std::string_view key, const std::vector<WriteItem>& group, std::size_t at);
    static void remove_chunks(WriteItem& item, const WriteItem::Once& once);
    void drop(WriteItem& item, Error why);
    Group write(std::vector<WriteItem> items, std::size_t lane);
    Result<std::shared_ptr<File>> write_octets(Group& group, std::size_t lane);
    SegmentFacts place(std::vector<WriteItem>& items, const SegmentLog::Place& place, const GroupHeader& header);
    void abandon();
    void fail_everything();
    void try_to_recover();
    void check_space(bool now);

    // The lane's own.
    Status sync(Group& group);
    void finish(Group& group, Status synced);  // in its turn
    Status put_into_index(Group& group);       // in its turn
    void complete(std::vector<WriteItem>& items, const Status& status);
    void latch(const Error& error);

    bool is_latched() const { return parts_.condition.is(SpoolCondition::Latched); }
    bool is_disk_slow() const;
    void await_turn(std::uint64_t turn);
    void end_turn(Duration write);
    void await_all();

    Parts parts_;
    const Options options_;
    std::function<Status()> rebuild_index_;
    WriteQueue queue_;

    std::mutex forming_;  // the right to form; guards what follows
    std::vector<WriteItem> waiting_;
    std::uint64_t next_event_;
    bool abandoned_ = false, ended_ = false;
    Duration backoff_{};
    SteadyTime next_try_{}, next_space_check_{}, last_begun_{};
    std::uint64_t octets_since_check_ = 0;

    mutable std::mutex turns_mutex_;  // guards what follows
    std::condition_variable turn_ended_;
    std::uint64_t turns_given_ = 0, turns_ended_ = 0;
    Duration last_write_{};

    // Whoever has its turn, and who forms while nothing is under way.
    SegmentFacts last_segment_;
    bool index_failed_ = false;

    std::array<std::thread, SegmentLog::kLanes> lanes_;
};

}  // namespace postfleet::spool
