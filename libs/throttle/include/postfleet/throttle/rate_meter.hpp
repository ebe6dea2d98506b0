// RateMeter: how much of an allowance is used up, in one atomic word that all shards share.
//
// An allowance of N in a period P: N at once, and one more each P / N after. So in any time T at most N + T × N / P are
// taken; who comes too early is told exactly when the next one is there. The allowance comes with every call, so a
// changed setting holds at once.
//
//   word    the time at which everything that was taken has come back
//   take    max(word, now) + P / N, if that is no later than now + P
//
// Threads: thread-safe, lock-free. Time comes in as an argument. Units: std::chrono.
#pragma once

#include <atomic>
#include <cstdint>

#include "postfleet/base/time.hpp"

namespace postfleet::throttle {

struct Allowance {
    std::uint64_t count = 0;  // 0: no limit
    Duration period{};
    bool is_unlimited() const { return count == 0; }
    Duration interval() const { return period / static_cast<Duration::rep>(count); }
};

class RateMeter final {
public:
    // Zero: one is taken. Else how long until there is one; then nothing is taken.
    Duration take(SteadyTime now, const Allowance& allowance);
    // As take(), without taking.
    Duration wait(SteadyTime now, const Allowance& allowance) const;
    // What was taken is not used after all.
    void give_back(const Allowance& allowance);
    // Nothing of any allowance is in use.
    bool is_idle(SteadyTime now) const { return used_until_.load(std::memory_order_relaxed) <= nanoseconds(now); }

private:
    static std::int64_t nanoseconds(SteadyTime time) { return time.time_since_epoch().count(); }
    std::atomic<std::int64_t> used_until_{INT64_MIN};  // nanoseconds of the steady clock
};

}  // namespace postfleet::throttle
