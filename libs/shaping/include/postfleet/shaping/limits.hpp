// RateLimit, ConnectionLimit: how a shaping limit is kept, each in one atomic word that all shards share.
//
// RateLimit is a generic cell rate algorithm without burst: one permit per interval. After a permit at time t
// the next one comes no earlier than t + interval, so any window W at the sender holds at most
// W / interval + 1 of them. At the receiving side the network and both schedulers add jitter; a guard of
// interval / 50 (2 ms at most) absorbs it, and half of the guard is what a permit may make up for when its
// taker woke late, or was late to use it. So the rate that is kept is up to 2 % below the limit, and never above it.
//
//   v     the time the last permit counts as taken ("virtual")
//   next  v + interval + guard
//   now < next: not yet, come back at next.      else: v = max(next, now - guard / 2)
//
// The interval comes with every call, so a changed setting holds at once.
//
// ConnectionLimit counts connections that exist at the other side: a permit is taken before connecting and
// returned when the close has completed.
//
// Threads: thread-safe, lock-free. Time comes in as an argument. Errors: none. They do not wake who waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "postfleet/base/time.hpp"

namespace postfleet::shaping {

class RateLimit final {
public:
    // Nothing: the permit is taken. Else when to ask again. An interval of zero is no limit.
    std::optional<SteadyTime> try_take(SteadyTime now, Duration interval);
    // The permit that was taken has been used between then and now: the next one counts from here.
    void mark_used(SteadyTime now, Duration interval);
    // When a permit could be had; the past if there is one now.
    SteadyTime next_permit(Duration interval) const;

    static Duration guard(Duration interval) { return std::min<Duration>(interval / 50, std::chrono::milliseconds(2)); }

private:
    static constexpr std::int64_t kNeverTaken = INT64_MIN;
    static SteadyTime next_after(std::int64_t taken, Duration interval);
    std::atomic<std::int64_t> taken_{kNeverTaken};  // v, nanoseconds of the steady clock
};

class ConnectionLimit final {
public:
    bool try_take(std::uint32_t limit);
    void give_back();
    std::uint32_t in_use() const { return in_use_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint32_t> in_use_{0};
};

}  // namespace postfleet::shaping
