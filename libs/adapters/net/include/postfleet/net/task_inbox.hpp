// TaskInbox: what other threads want a loop to run, and whether the loop must be woken for it.
//
// Two vectors change places, so posting costs no allocation once they have grown, and the lock is held for
// one append or one swap. The sleep protocol (prepare_to_sleep / awake) makes sure that a post either is
// seen before the loop sleeps or wakes it, and that many posts to a sleeping loop cost one wake-up.
//
// Threads: push() thread-safe; the rest belongs to the loop's thread.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "postfleet/base/function.hpp"

namespace postfleet::net {

class TaskInbox {
public:
    // True when the caller has to wake the loop.
    bool push(Callback task) {
        {
            const std::lock_guard lock(mutex_);
            tasks_.push_back(std::move(task));
            waiting_.store(true, std::memory_order_seq_cst);
        }
        return sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false, std::memory_order_seq_cst);
    }

    bool is_empty() const { return !waiting_.load(std::memory_order_relaxed); }

    // False when something arrived meanwhile: do not sleep.
    bool prepare_to_sleep() {
        sleeping_.store(true, std::memory_order_seq_cst);
        if (!waiting_.load(std::memory_order_seq_cst)) return true;
        awake();
        return false;
    }
    void awake() { sleeping_.store(false, std::memory_order_relaxed); }

    // `into` must be empty; its memory is used for the next tasks.
    void take(std::vector<Callback>& into) {
        const std::lock_guard lock(mutex_);
        tasks_.swap(into);
        waiting_.store(false, std::memory_order_relaxed);
    }

private:
    std::mutex mutex_;
    std::vector<Callback> tasks_;
    alignas(64) std::atomic<bool> waiting_{false};
    std::atomic<bool> sleeping_{false};
};

}  // namespace postfleet::net
