// Condition: whether the spool takes anything, and who wants to know.
//
//   Ready <-> SpaceLow        the disk's reserve
//   any    -> Latched         a write or a sync failed
//   Latched -> Ready          a new segment was written and synced (SpaceLow follows, if it still holds)
//
// Threads: thread-safe; is() is one atomic load. Watchers are called on their executors.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postfleet/ports/spool.hpp"

namespace postfleet::spool {

class Condition {
public:
    bool is(SpoolCondition condition) const { return condition_.load(std::memory_order_acquire) == condition; }
    SpoolState state() const;
    void change(SpoolCondition condition, std::string reason);
    // Only if it is `from`: somebody else may have latched it meanwhile. False: it is not.
    bool change(SpoolCondition from, SpoolCondition to, std::string reason);
    void watch(Executor& on, UniqueFunction<void(SpoolState)> changed);
    // What a commit is told now, or nothing when it may pass.
    Status admit(SpoolBatch::Urgency urgency) const;

private:
    void change_locked(SpoolCondition condition, std::string reason);

    std::atomic<SpoolCondition> condition_{SpoolCondition::Ready};
    mutable std::mutex mutex_;
    std::string reason_;
    struct Watcher {
        Executor* on;
        // Shared with the posts that have not run yet.
        std::shared_ptr<UniqueFunction<void(SpoolState)>> changed;
    };
    std::vector<Watcher> watchers_;
};

}  // namespace postfleet::spool
