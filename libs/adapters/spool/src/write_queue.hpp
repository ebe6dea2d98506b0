// WriteQueue: what waits for the writer.
//
// Producers wake the writer only when it sleeps. Outcomes alone let it sleep on for a moment, so that they
// share a sync with what comes next; anything that somebody waits for wakes it at once.
//
// Threads: push() thread-safe; take() belongs to the writer and is the only thing that blocks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "log_format.hpp"
#include "outbox.hpp"
#include "postfleet/base/executor.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::spool {

// One commit, or something of the spool's own that goes the same way.
struct WriteItem {
    BatchBuilder batch;
    struct Content {
        MessageId id;
        SharedOctets octets;  // null: empty
        std::uint32_t checksum = 0;
    };
    std::vector<Content> contents;        // in the order of batch.contents()
    std::vector<Outbox::Written> events;  // in the order of batch.events()
    Completion<Status> done;              // `on` null: nobody waits
    bool is_urgent = true;
    // Content on its way to a new place: only if it is still where it was read.
    struct Move {
        Column column = Column::Message;
        std::string key;
        Location from;
    };
    std::optional<Move> move;
    // What is committed once: nothing of it is when this id was taken before.
    struct Once {
        MessageId taken_as;
        std::uint32_t day = 0;
        MessageId message;
        std::uint32_t appended_chunks = 0;  // its content that is there already
    };
    std::optional<Once> once;
    // Whose content is removed: only if the message is not there.
    std::optional<MessageId> discarded;
    std::unique_ptr<Error> refused;                              // by the writer; null: it is written
    std::vector<std::pair<std::string, std::uint64_t>> cursors;  // to give back if the write fails
    std::uint64_t octets = 0;                                    // in flight
};

class WriteQueue {
public:
    explicit WriteQueue(Duration outcome_delay) : outcome_delay_(outcome_delay) {}

    void push(WriteItem item);
    // Appends what waits to `to`. Waits for that at most until `until`, or until stop().
    void take(std::vector<WriteItem>& to, SteadyTime until);
    void take_now(std::vector<WriteItem>& to);
    void stop();
    bool is_stopped() const { return stopped_.load(std::memory_order_relaxed); }
    std::uint64_t octets_in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
    void landed(std::uint64_t octets) { in_flight_.fetch_sub(octets, std::memory_order_relaxed); }

private:
    void take_locked(std::vector<WriteItem>& to);

    enum class Sleep { Awake, UntilAnything, UntilUrgent };

    const Duration outcome_delay_;
    std::atomic<std::uint64_t> in_flight_{0};
    std::atomic<bool> stopped_{false};
    std::mutex mutex_;
    std::condition_variable wake_;
    Sleep sleep_ = Sleep::Awake;
    std::vector<WriteItem> items_;
    bool has_urgent_ = false;
};

}  // namespace postfleet::spool
