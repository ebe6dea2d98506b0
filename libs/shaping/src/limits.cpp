#include "postfleet/shaping/limits.hpp"

#include "postfleet/base/require.hpp"

namespace postfleet::shaping {

SteadyTime RateLimit::next_after(std::int64_t taken, Duration interval) {
    if (taken == kNeverTaken) return SteadyTime::min();
    return SteadyTime(Duration(taken)) + interval + guard(interval);
}

std::optional<SteadyTime> RateLimit::try_take(SteadyTime now, Duration interval) {
    std::int64_t taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
        const SteadyTime next = next_after(taken, interval);
        if (now < next && interval > Duration::zero()) return next;
        const SteadyTime counts_as = std::max(next, now - guard(interval) / 2);
        if (taken_.compare_exchange_weak(taken, counts_as.time_since_epoch().count(), std::memory_order_relaxed)) {
            return std::nullopt;
        }
    }
}

void RateLimit::mark_used(SteadyTime now, Duration interval) {
    const std::int64_t used = (now - guard(interval) / 2).time_since_epoch().count();
    std::int64_t taken = taken_.load(std::memory_order_relaxed);
    while (taken < used && !taken_.compare_exchange_weak(taken, used, std::memory_order_relaxed)) {
    }
}

SteadyTime RateLimit::next_permit(Duration interval) const {
    return interval > Duration::zero() ? next_after(taken_.load(std::memory_order_relaxed), interval)
                                       : SteadyTime::min();
}

bool ConnectionLimit::try_take(std::uint32_t limit) {
    std::uint32_t in_use = in_use_.load(std::memory_order_relaxed);
    do {
        if (in_use >= limit) return false;
    } while (!in_use_.compare_exchange_weak(in_use, in_use + 1, std::memory_order_relaxed));
    return true;
}

void ConnectionLimit::give_back() {
    const std::uint32_t before = in_use_.fetch_sub(1, std::memory_order_relaxed);
    require(before > 0);
}

}  // namespace postfleet::shaping
