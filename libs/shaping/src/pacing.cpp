#include "postfleet/shaping/pacing.hpp"

#include <algorithm>

#include "postfleet/base/require.hpp"

namespace postfleet::shaping {

namespace {

// So that the one before has really gone when its successor asks.
constexpr Duration kNextInLine = std::chrono::microseconds(20);

// How long one permit and its octets keep the next one waiting.
Duration cost(const Pace& pace, std::uint64_t octets) {
    const Duration of_data = pace.data.time_for(octets);
    return std::max(pace.interval + RateLimit::guard(pace.interval), of_data + RateLimit::guard(of_data));
}

// Where it stands in all its lines, so that no two of them can each be before the other. By its own turns: one that
// comes seldom passes over the others no more often than one that comes much.
SteadyTime place_of(Priority priority, std::span<const PacedScope> scopes, std::uint64_t octets, SteadyTime now) {
    Duration longest = Duration::min(), shortest = Duration::max();
    for (const PacedScope& scope : scopes) {
        const Duration turn = cost(scope.pace, octets);
        longest = std::max(longest, turn);
        shortest = std::min(shortest, turn);
    }
    if (scopes.empty()) return now;
    switch (priority) {
        case Priority::High: return now - PacedLimit::kHeadStart * longest;
        case Priority::Normal: return now;
        case Priority::Low: return now + PacedLimit::kHeadStart * shortest;
    }
    return now;
}

}  // namespace

SteadyTime PacedLimit::next(const Pace& pace) const {
    SteadyTime next = permits_.next_permit(pace.interval);
    const std::int64_t from = paid_from_.load(std::memory_order_relaxed);
    if (!pace.data.is_unlimited() && from != INT64_MIN) {
        const Duration paid_by = pace.data.time_for(octets_.load(std::memory_order_relaxed));
        next = std::max(next, SteadyTime(Duration(from)) + paid_by + RateLimit::guard(paid_by));
    }
    return next;
}

void PacedLimit::take(SteadyTime now, const Pace& pace, std::uint64_t octets) {
    require(!permits_.try_take(now, pace.interval));
    octets_.store(octets, std::memory_order_relaxed);
    paid_from_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

// --- the line ------------------------------------------------------------------------------------------

void PacedLimit::forget_absent(const void* but, SteadyTime since) {
    std::erase_if(line_, [&](const Waiting& w) { return w.who != but && w.asks_at < since; });
}

const PacedLimit::Waiting* PacedLimit::find(const void* who) const {
    for (const Waiting& waiting : line_) {
        if (waiting.who == who) return &waiting;
    }
    return nullptr;
}

std::size_t PacedLimit::in_the_way(SteadyTime stands_as, const void* who, SteadyTime until) const {
    std::size_t ahead = 0;
    for (const Waiting& waiting : line_) {
        if (waiting.who == who || waiting.stands_as > stands_as) break;
        if (waiting.ready_at <= until) ++ahead;
    }
    return ahead;
}

void PacedLimit::stand(const Waiting& waiting) {
    for (Waiting& known : line_) {
        if (known.who != waiting.who || known.stands_as != waiting.stands_as) continue;
        known = waiting;
        return;
    }
    leave(waiting.who);
    const auto behind = std::find_if(line_.rbegin(), line_.rend(),
                                     [&](const Waiting& other) { return other.stands_as <= waiting.stands_as; });
    line_.insert(behind.base(), waiting);
}

void PacedLimit::leave(const void* who) {
    std::erase_if(line_, [&](const Waiting& waiting) { return waiting.who == who; });
}

// --- several scopes ------------------------------------------------------------------------------------

std::optional<SteadyTime> take_all(std::span<const PacedScope> scopes, const Asker& asker, std::uint64_t octets,
                                   SteadyTime now) {
    const void* const who = asker.address;
    SteadyTime ready = SteadyTime::min(), stands_as = place_of(asker.priority, scopes, octets, now);
    for (const PacedScope& scope : scopes) {
        const Duration grace =
            std::clamp(cost(scope.pace, octets), PacedLimit::kShortestGrace, PacedLimit::kLongestGrace);
        scope.limit->forget_absent(who, now - grace);
        ready = std::max(ready, scope.limit->next(scope.pace));
        if (const auto* place = scope.limit->find(who)) stands_as = std::min(stands_as, place->stands_as);
    }
    bool is_free = ready <= now;
    SteadyTime ask_at = ready;
    for (const PacedScope& scope : scopes) {
        const Duration turn = cost(scope.pace, octets);
        const SteadyTime next = std::max(now, scope.limit->next(scope.pace));
        const auto ahead = scope.limit->in_the_way(stands_as, who, next + turn);
        if (ahead == 0) continue;
        is_free = false;
        // Whoever stands before takes one turn each, so that everybody wakes about once.
        ask_at = std::max(ask_at, next + static_cast<Duration::rep>(ahead) * turn + kNextInLine);
    }
    for (const PacedScope& scope : scopes) {
        if (is_free) {
            scope.limit->take(now, scope.pace, octets);
            scope.limit->leave(who);
        } else {
            scope.limit->stand({who, stands_as, ready, ask_at});
        }
    }
    return is_free ? std::nullopt : std::optional(ask_at);
}

void leave_all(std::span<const PacedScope> scopes, const void* who) {
    for (const PacedScope& scope : scopes) scope.limit->leave(who);
}

void mark_all_used(std::span<const PacedScope> scopes, SteadyTime now) {
    for (const PacedScope& scope : scopes) {
        scope.limit->permits_.mark_used(now, scope.pace.interval);
        const std::int64_t used = now.time_since_epoch().count();
        if (scope.limit->paid_from_.load(std::memory_order_relaxed) < used) {
            scope.limit->paid_from_.store(used, std::memory_order_relaxed);
        }
    }
}

}  // namespace postfleet::shaping
