// LoginMemory: which logins at smart hosts were refused, so that no password is tried over and over: servers lock
// accounts for that, and every queue of a route "*" would.
//
//   refused ─▶ not tried for 5 minutes, twice as long after each further refusal, up to an hour; then by one connection
//   first. A login that works ends it, and so does an operator's retry. A reload brings new objects, of which nothing
//   is known
//
// By the RouteAccess itself: one for each route of one configuration. Threads: thread-safe. Time comes in as an
// argument. It forgets everything at a restart.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "postfleet/base/time.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::sender {

class LoginMemory final {
public:
    using Access = std::shared_ptr<const config::RouteAccess>;
    static constexpr Duration kFirstRest = std::chrono::minutes(5);
    static constexpr Duration kLongestRest = std::chrono::hours(1);
    static constexpr Duration kRecheck = std::chrono::minutes(1);  // of queues, for it may have been mended

    struct Hold {
        std::string reason;
        SteadyTime until = SteadyTime::min();
    };

    // A connection is about to log in. False: another one tries, or was refused in the meantime.
    bool begin_try(const Access& access, SteadyTime now);
    // False: it rests already, for another connection was refused a moment ago.
    bool on_refused(const Access& access, std::string reason, SteadyTime now);
    void on_accepted(const Access& access);
    // Why it is not tried now; nothing: it may be.
    std::optional<Hold> hold_of(const Access& access, SteadyTime now) const;
    // The operator knows better: every login may be tried.
    void end_rests();

private:
    struct Entry {
        Hold hold;
        SteadyTime tried_until = SteadyTime::min();  // by one connection; after that by another one
        std::uint32_t refusals = 0;
    };
    mutable std::mutex mutex_;
    std::map<Access, Entry> entries_;
};

}  // namespace postfleet::sender
