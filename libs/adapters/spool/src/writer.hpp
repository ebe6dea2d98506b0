// Writer: the one thread that makes things durable.
//
//   take everything that waits -> one group -> one write and one sync -> index -> completions
//
// Completions go out with one post() per executor and group. When a write or a sync fails, the group and
// everything behind it fails with Unavailable, and nothing is taken until a group has been written and synced
// to a fresh segment (Latched). When the index fails, what is in the log stays confirmed; the index is opened
// again and the log applied to it.
//
// Threads: push() thread-safe; the thread is the writer's own. The destructor writes what waits, then stops.
#pragma once

#include <functional>
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
        std::uint32_t taken_days = 0;  // before today, that an id is looked for in
    };
    Writer(Parts parts, Options options, std::function<Status()> rebuild_index);
    ~Writer();

    void push(WriteItem item) { queue_.push(std::move(item)); }
    std::uint64_t octets_in_flight() const { return queue_.octets_in_flight(); }

private:
    void run();
    void take_turn();
    std::size_t group_size() const;
    void add_cursors();
    void drop_stale_moves(std::vector<WriteItem>& group);
    void drop_repeated(std::vector<WriteItem>& group);
    Result<bool> was_taken(const WriteItem::Once& once);
    bool has_chunks(const WriteItem::Once& once, const std::vector<WriteItem>& group, std::size_t at);
    static void remove_chunks(WriteItem& item, const WriteItem::Once& once);
    void drop(WriteItem& item, Error why);
    // Writes and syncs; on success the items' batches are in the log and in the index.
    Status write_group(std::vector<WriteItem>& group);
    SegmentFacts place(std::vector<WriteItem>& group, const SegmentLog::Place& place, const GroupHeader& header);
    void complete(std::vector<WriteItem>& items, const Status& status);
    void latch(const Error& error);
    void fail_everything(const Error& error);
    void try_to_recover();
    void check_space(bool now);

    Parts parts_;
    const Options options_;
    std::function<Status()> rebuild_index_;
    WriteQueue queue_;

    // The thread's own.
    std::vector<WriteItem> waiting_;
    SegmentFacts last_segment_;
    bool index_failed_ = false;
    Duration backoff_{};
    SteadyTime next_try_{}, next_space_check_{};
    std::uint64_t octets_since_check_ = 0;

    std::thread thread_;
};

}  // namespace postfleet::spool
