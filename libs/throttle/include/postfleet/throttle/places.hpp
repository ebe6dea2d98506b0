// Places: how many of something there are at the same time, and no more than a limit that comes with every call.
//
// Threads: thread-safe, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

namespace postfleet::throttle {

class Places final {
public:
    bool take(std::uint32_t limit) {
        std::uint32_t taken = taken_.load(std::memory_order_relaxed);
        do {
            if (taken >= limit) return false;
        } while (!taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed));
        return true;
    }
    void give_back() { taken_.fetch_sub(1, std::memory_order_relaxed); }
    std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint32_t> taken_{0};
};

}  // namespace postfleet::throttle
