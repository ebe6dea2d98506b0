// RateMeter: how many per second, over the last ten.
//
// Threads: add() and per_second() are thread-safe enough for display: a count that falls on the edge of a second
// may be lost or told twice.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "postfleet/base/time.hpp"

namespace postfleet::sender {

class RateMeter final {
public:
    void add(SteadyTime now, std::uint32_t n) {
        const std::uint64_t second = second_of(now);
        Slot& slot = slots_[second % slots_.size()];
        if (slot.second.load(std::memory_order_relaxed) != second) {
            slot.second.store(second, std::memory_order_relaxed);
            slot.count.store(0, std::memory_order_relaxed);
        }
        slot.count.fetch_add(n, std::memory_order_relaxed);
    }
    double per_second(SteadyTime now) const {
        const std::uint64_t second = second_of(now);
        std::uint64_t sum = 0;
        for (const Slot& slot : slots_) {
            const std::uint64_t of = slot.second.load(std::memory_order_relaxed);
            if (of <= second && of + slots_.size() > second) sum += slot.count.load(std::memory_order_relaxed);
        }
        return static_cast<double>(sum) / static_cast<double>(slots_.size());
    }

private:
    struct Slot {
        std::atomic<std::uint64_t> second{0};
        std::atomic<std::uint32_t> count{0};
    };
    static std::uint64_t second_of(SteadyTime now) {
        return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count());
    }
    std::array<Slot, 10> slots_;
};

}  // namespace postfleet::sender
