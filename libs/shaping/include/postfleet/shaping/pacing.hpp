// Pacing: how several rates are kept at once, and how those who share them take turns.
//
// A PacedLimit is what one scope (a queue, a virtual MTA, an address …) has sent lately, as "the next allowed time":
// recipients one by one (RateLimit), octets paid for one message after the other: in any time T no more than
// rate × T octets and one message begin. take_all() takes a permit of every scope, or of none:
//
//   ready   the latest next time of all scopes             now < ready: come back then
//   line    who has to wait stands in the line of every scope, oldest first, and says when it will be ready.
//           Whoever is older and can go within one interval goes before us; whoever cannot (its other scopes
//           are slower) holds up nobody. So nobody starves between two busy scopes, and a slow one does not
//           slow the others. One of high priority stands as if it had come kHeadStart of its turns earlier, one of
//           low as many later: each high one passes over a lower one kHeadStart times, and not for ever.
//
// One who does not come back by itself loses its place a turn after it should have come (kShortestGrace to
// kLongestGrace).
//
// Threads: next() thread-safe, everything else externally locked, all scopes of a call by the same lock.
// Time comes in as an argument. Errors: none.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "postfleet/base/time.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/shaping/limits.hpp"

namespace postfleet::shaping {

// What a scope allows; it comes with every call, so a changed setting holds at once.
struct Pace {
    Duration interval{};      // between two recipients, or connections; zero: no limit
    config::DataRate data{};  // unlimited: no limit
    bool is_unlimited() const { return interval == Duration::zero() && data.is_unlimited(); }
};

class PacedLimit;

struct PacedScope {
    PacedLimit* limit = nullptr;
    Pace pace;
};

// Who asks: any address that stands for it.
struct Asker {
    Asker(const void* its_address, Priority its_priority = Priority::Normal)
        : address(its_address), priority(its_priority) {}
    const void* address;
    Priority priority;
};

// Nothing: a permit of each scope is taken, and `octets` will follow it. Else when to ask again.
std::optional<SteadyTime> take_all(std::span<const PacedScope> scopes, const Asker& asker, std::uint64_t octets,
                                   SteadyTime now);
// It does not wait any more.
void leave_all(std::span<const PacedScope> scopes, const void* who);
// The permits that were taken have been used between then and now: the next ones count from here.
void mark_all_used(std::span<const PacedScope> scopes, SteadyTime now);

class PacedLimit final {
public:
    static constexpr Duration kShortestGrace = std::chrono::milliseconds(100);
    static constexpr Duration kLongestGrace = std::chrono::seconds(5);
    static constexpr int kHeadStart = 16;

    // When a permit could be had if nobody waited; the past if there is one now.
    SteadyTime next(const Pace& pace) const;
    std::size_t waiting() const { return line_.size(); }

private:
    friend std::optional<SteadyTime> take_all(std::span<const PacedScope>, const Asker&, std::uint64_t, SteadyTime);
    friend void leave_all(std::span<const PacedScope>, const void*);
    friend void mark_all_used(std::span<const PacedScope>, SteadyTime);

    struct Waiting {
        const void* who;
        SteadyTime stands_as;  // when it first had to wait, with the head start of its priority; in all lines the same
        SteadyTime ready_at;   // when all its scopes will be
        SteadyTime asks_at;
    };
    void forget_absent(const void* but, SteadyTime since);
    const Waiting* find(const void* who) const;
    std::size_t in_the_way(SteadyTime stands_as, const void* who, SteadyTime until) const;
    void stand(const Waiting& waiting);
    void leave(const void* who);
    void take(SteadyTime now, const Pace& pace, std::uint64_t octets);

    RateLimit permits_;
    std::atomic<std::int64_t> paid_from_{INT64_MIN};  // nanoseconds of the steady clock: when the last message began
    std::atomic<std::uint64_t> octets_{0};            // how long it was
    std::vector<Waiting> line_;                       // the oldest first
};

}  // namespace postfleet::shaping
