// Destination: what one session can deliver: the hosts of one MX set (or route), under a site's name.
//
// Domains with the same site and the same set of hosts share one Destination, so a session that was opened for
// one of them serves them all, and never a domain whose MX set is another one. The addresses of the hosts
// change with DNS; the identity (site, preferences, host names, ports) does not.
//
// delivery_order() is the order to try addresses in (RFC 5321 §5.1): by preference, hosts of equal preference
// in random order, the addresses of a host in the order of the answer, IPv6 and IPv4 in turn.
//
// Threads: thread-safe; addresses are swapped whole.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/ports/resolver.hpp"

namespace postfleet::sender {

struct Hop {
    std::uint16_t preference = 0;
    std::string host;  // a name, or the address as text
    std::uint16_t port = 25;
    std::vector<IpAddress> addresses;
};

class Destination final {
public:
    enum class Kind : std::uint8_t {
        Deliverable,
        NoSuchDomain,  // permanent
        NullMx,        // permanent (RFC 7505)
        Failed,        // DNS did not answer: ask again
    };

    Destination(Kind its_kind, std::string its_site, std::string its_text, std::vector<Hop> hops)
        : kind(its_kind),
          site(std::move(its_site)),
          text(std::move(its_text)),
          hops_(std::make_shared<const std::vector<Hop>>(std::move(hops))) {}

    const Kind kind;
    const std::string site;
    const std::string text;  // why not, for people

    bool is_permanent_failure() const { return kind == Kind::NoSuchDomain || kind == Kind::NullMx; }

    // shared_ptr because a session walks through them while an answer replaces them.
    std::shared_ptr<const std::vector<Hop>> hops() const {
        const std::lock_guard lock(mutex_);
        return hops_;
    }
    void replace_hops(std::vector<Hop> hops) {
        auto fresh = std::make_shared<const std::vector<Hop>>(std::move(hops));
        const std::lock_guard lock(mutex_);
        hops_.swap(fresh);
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const std::vector<Hop>> hops_;
};

// Two destinations with the same key are the same.
std::string identity_of(Destination::Kind kind, const std::string& site, const std::vector<Hop>& hops);

struct Candidate {
    std::string host;
    Endpoint peer;
};
inline constexpr std::size_t kMaxCandidates = 12;  // addresses that one attempt to open a session tries

std::vector<Candidate> delivery_order(const std::vector<Hop>& hops, std::uint64_t random);

}  // namespace postfleet::sender
