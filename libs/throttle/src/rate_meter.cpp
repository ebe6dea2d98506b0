#include "postfleet/throttle/rate_meter.hpp"

#include <algorithm>

namespace postfleet::throttle {
namespace {

// When everything taken so far and one more have come back, and the latest time at which that may be. By whole
// intervals, not by the period, so that rounding never adds one.
struct Taken {
    Taken(std::int64_t used_until, std::int64_t now, const Allowance& allowance)
        : until(std::max(used_until, now) + allowance.interval().count()),
          latest(now + allowance.interval().count() * static_cast<std::int64_t>(allowance.count)) {}
    Duration wait() const { return Duration(std::max<std::int64_t>(0, until - latest)); }
    std::int64_t until, latest;
};

}  // namespace

Duration RateMeter::take(SteadyTime now, const Allowance& allowance) {
    if (allowance.is_unlimited()) return Duration::zero();
    std::int64_t used_until = used_until_.load(std::memory_order_relaxed);
    for (;;) {
        const Taken taken(used_until, nanoseconds(now), allowance);
        if (taken.wait() > Duration::zero()) return taken.wait();
        if (used_until_.compare_exchange_weak(used_until, taken.until, std::memory_order_relaxed)) {
            return Duration::zero();
        }
    }
}

Duration RateMeter::wait(SteadyTime now, const Allowance& allowance) const {
    if (allowance.is_unlimited()) return Duration::zero();
    return Taken(used_until_.load(std::memory_order_relaxed), nanoseconds(now), allowance).wait();
}

void RateMeter::give_back(const Allowance& allowance) {
    if (!allowance.is_unlimited()) used_until_.fetch_sub(allowance.interval().count(), std::memory_order_relaxed);
}

}  // namespace postfleet::throttle
