// SessionFixture: a ServerSession with a scripted policy, spoken to octet by octet.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "postfleet/smtp/server_session.hpp"
#include "postfleet/support/scripted_policy.hpp"

namespace postfleet::smtp {

struct SessionFixture {
    ServerSettings settings{.hostname = "mx.example"};
    support::ScriptedPolicy policy;
    ServerSession session{settings, policy};
    std::string out;

    // Answers what the session says to it.
    std::string say(std::string_view octets) {
        session.receive(octets, out);
        return std::exchange(out, {});
    }
};

}  // namespace postfleet::smtp
