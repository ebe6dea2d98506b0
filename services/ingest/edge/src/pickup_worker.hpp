// PickupWorker: takes the files of one directory, on a thread and an event loop of its own, because files block.
//
//   moved in (inotify) ─┐
//   settled (scan) ─────┼─▶ claim ─▶ sync the claims ─▶ PickupFile ─▶ Accepted: removed before delivery can begin
//   left by a crash ────┘                                    ├─▶ Bad: bad directory, with the reason
//                                                            └─▶ Later, Trouble, Changed: stays claimed, tried again
//
// At most kFilesAtOnce files are claimed: the others wait in the directory, however many they are. While the store takes
// no mail nothing new is claimed. A file is removed inside the answer of the hand-over, which comes before the message is
// scheduled: so after a crash of the process either the file is gone, or the message is still in the spool and known, if
// that is asked before the first delivery: settle_leftovers().
//
// Threads: settle_leftovers(), start(), use(), drain(), stop() from one thread that is not its own; the rest is confined to
// its own.
// stop() waits for the thread and gives up what is under way; it must come before the hand-over goes. The object outlives
// every completion of the port.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pickup_file.hpp"
#include "postfleet/ingest/pickup_service.hpp"
#include "postfleet/net/epoll_loop.hpp"

namespace postfleet::ingest {

struct PickupCounters {
    PickupCounters(Metrics& metrics, const std::string& pickup);
    Counter& accepted;
    Counter& bad;
    Counter& known;      // claimed before a crash, and already in the spool
    Counter& recovered;  // claimed by an earlier process, and taken again: a second copy is possible (promise P3)
    Counter& troubles;   // operations on files that failed
    Gauge& claimed;
};

class PickupWorker final : private net::Pollable {
public:
    struct Setup {
        config::Pickup pickup;
        std::shared_ptr<const ListenerRules> rules;  // shared with the files that are under way
        std::unique_ptr<PickupDirectory> directory;
    };

    static Result<std::unique_ptr<PickupWorker>> create(const PickupDependencies& dependencies, Setup setup);
    ~PickupWorker();
    PickupWorker(const PickupWorker&) = delete;
    PickupWorker& operator=(const PickupWorker&) = delete;

    // Once, before start(): removes what was claimed by an earlier process and is in the spool. Waits for the spool's
    // answers, a minute at most; the rest is taken by start().
    void settle_leftovers();
    void start();
    // For the files that are claimed from now on, also after drain(). The directories stay the same.
    void use(const config::Pickup& pickup, std::shared_ptr<const ListenerRules> rules);
    // Claims no more; `quiet` runs on the worker's thread when no file is under way.
    void drain(Callback quiet);
    void stop();

private:
    static constexpr std::size_t kFilesAtOnce = 64;
    static constexpr std::size_t kNamesKept = 4096;
    static constexpr Duration kPause = std::chrono::seconds(1);
    static constexpr Duration kLongestAsk = std::chrono::minutes(1);
    static constexpr Duration kShortest = std::chrono::milliseconds(1);  // between two looks
    // A file that is still being written after this long will not be finished.
    static constexpr Duration kLongestChange = std::chrono::minutes(10);

    struct Waiting {
        Claim claim;
        SteadyTime not_before;
        SteadyTime since;
        bool is_left_over = false;
    };
    struct Entry final : PickupDriver {
        Entry(PickupWorker& owner, Waiting from) : worker(owner), waited(std::move(from)) {}
        void on_progress() override { worker.settle(*this, file->go_on()); }
        PickupWorker& worker;
        Waiting waited;
        std::list<Entry>::iterator self;
        std::unique_ptr<PickupFile> file;  // null until it is known that the spool does not hold it
    };

    PickupWorker(const PickupDependencies& dependencies, Setup setup, std::unique_ptr<net::EpollLoop> loop,
                 net::UniqueFd watch);

    void begin();
    void on_events(std::uint32_t events) override;
    void on_change(std::uint32_t mask, std::string_view name);
    bool is_ignored(std::string_view name) const;

    void pump();
    std::vector<Waiting> gather();
    void gather_new(std::vector<Waiting>& batch);
    bool claim(const std::string& name, std::vector<Waiting>& batch);
    void take(Waiting waiting);
    void ask_whether_known(Entry& entry);
    void end_settling();
    void open(Entry& entry);
    void settle(Entry& entry, PickupFile::Outcome outcome);
    void keep_for_later(Entry& entry, Duration pause);
    void reject(Entry& entry, const std::string& why);
    void forget(Entry& entry);
    void remove(const Claim& claim);
    void trouble(const Status& status);
    void look_at(SteadyTime when);
    std::size_t room() const { return kFilesAtOnce - std::min(kFilesAtOnce, entries_.size() + waiting_.size()); }

    Log log_;
    config::Pickup pickup_;
    std::shared_ptr<const ListenerRules> rules_;
    std::unique_ptr<PickupDirectory> directory_;
    std::unique_ptr<net::EpollLoop> loop_;
    net::UniqueFd watch_;   // inotify; none where the file system has none
    ProcessLimits limits_;  // of its own: one file at a time needs little, and no connection
    ListenerShared shared_;
    PickupCounters counters_;
    IngestCounters ingest_counters_;
    Handover& handover_;
    IntakeShard intake_;
    std::list<Entry> entries_;         // under way
    std::vector<Waiting> waiting_;     // claimed, for later
    std::deque<std::string> arrived_;  // moved in, not claimed yet
    bool is_settling_ = false;
    bool is_scanning_ = true;
    bool is_draining_ = false;
    bool is_unsynced_ = false;  // files were removed
    SteadyTime scan_at_{};
    SteadyTime paused_until_{};
    SteadyTime timer_at_ = SteadyTime::max();
    TimerId timer_;
    Callback when_quiet_;
    std::thread thread_;
};

}  // namespace postfleet::ingest
