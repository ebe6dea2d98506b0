// RenditionCache: renditions that were made, for retries and further recipients, and those that are being made.
//
//   join(key, waiter) ─▶ was made: told at once · being made: told with the others · else: the caller makes it
//   settle(key, outcome) ─▶ every waiter is told, each on its own shard; Ready is kept
//
// The ones used last stay, within `memory` octets. What is not kept, or is due for renewal, is made anew.
// Threads: thread-safe; one lock, held for a look-up. Waiters run on their executors, never inside a call.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "rendition.hpp"

namespace postfleet::sender {

class RenditionCache final {
public:
    explicit RenditionCache(std::uint64_t memory) : limit_(memory) {}

    // True: nobody makes it yet; the caller must, and settle() it.
    [[nodiscard]] bool join(const RenditionKey& key, WallTime now, Completion<RenditionOutcome> waiter);
    void settle(const RenditionKey& key, const RenditionOutcome& outcome);

    std::uint64_t used() const;

private:
    struct Entry {
        bool is_made = false;
        std::shared_ptr<const Rendition> rendition;  // null: being made, or as it is stored
        std::vector<Completion<RenditionOutcome>> waiters;
        std::list<RenditionKey>::iterator place;  // only of one that was made
    };

    static std::uint64_t memory_of(const Entry& entry);
    void make_room_locked();

    const std::uint64_t limit_;
    mutable std::mutex mutex_;
    std::unordered_map<RenditionKey, Entry> entries_;
    std::list<RenditionKey> by_use_;  // the last used one in front
    std::uint64_t used_ = 0;
};

}  // namespace postfleet::sender
