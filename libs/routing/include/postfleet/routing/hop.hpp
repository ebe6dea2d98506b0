// Hop: a host that mail may go to. admit() (snapshot.hpp) says to which of them it does (RFC 5321 §5.1).
//
//   Loop      the best of them is this host: it and everything that is not preferred to it is dropped, or mail would
//             go round; nothing is left
//   Private   no address is left that may be connected to: loopback, private and reserved ones are left out unless
//             `allow_private_targets` has them, for a domain's owner must not choose what we reach in our own network
//   Unknown   the same, but some host could not be looked up: later perhaps
//
// The addresses of a hop are what is connected to; no name is looked up after this, so that a name server cannot
// give a better answer first and a worse one later. Threads: value types.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::routing {

struct Hop {
    std::uint16_t preference = 0;
    std::string host;  // a name in lower case, or the address as text
    std::uint16_t port = 25;
    std::vector<IpAddress> addresses{};
    bool is_secure = false;        // DNSSEC has validated how it was found, and its addresses
    bool is_configured = false;    // a route of the operator's
    std::string canonical_name{};  // the end of its aliases (RFC 7672 §2.2.2); empty: there are none
    std::shared_ptr<const config::RouteAccess> access{};  // how a route's is entered; null: as any other
};

enum class HopsState : std::uint8_t { Complete, Partial };  // Partial: some host could not be looked up

struct Admission {
    enum class Verdict : std::uint8_t { Deliverable, Loop, Private, Unknown };
    Verdict verdict = Verdict::Deliverable;
    std::string text;       // why not, for people
    std::vector<Hop> hops;  // Deliverable: at least one has an address
};

}  // namespace postfleet::routing
