// Resolver (port): where mail for a domain goes (RFC 5321 §5.1, RFC 7505, RFC 3974).
//
// resolve_mx() looks up MX, then A and AAAA of every host, and answers once with everything. No MX but an
// address: the domain itself is the host (implicit MX). "0 ." is NullMx. Equal preferences come in the
// order of the answer; shuffling is the caller's. An answer is bounded: kMaxHosts hosts, kMaxAddresses
// addresses each; more is cut.
//
// Threads: thread-safe; completions run on the executor named. Never blocks. Every query has a deadline.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/network.hpp"

namespace postfleet {

struct MxHost {
    std::uint16_t preference = 0;
    std::string name;                   // lower case, without a trailing dot
    std::vector<IpAddress> addresses;   // empty: this host did not resolve
};

struct MxAnswer {
    enum class Kind {
        Found,          // hosts, in order of preference
        NoSuchDomain,   // NXDOMAIN, or neither MX nor address: permanent
        NullMx,         // RFC 7505: takes no mail: permanent
        Temporary,      // SERVFAIL, timeout, bogus: try later
    };
    Kind kind = Kind::Temporary;
    std::vector<MxHost> hosts;
    Duration time_to_live{};
    bool secure = false;      // DNSSEC-validated
    std::string text;         // why not, for people
};

class Resolver {
public:
    static constexpr std::size_t kMaxHosts = 20;
    static constexpr std::size_t kMaxAddresses = 16;
    virtual ~Resolver() = default;
    virtual void resolve_mx(std::string domain, Completion<MxAnswer> done) = 0;
    // Only the addresses of a host (routes with names).
    virtual void resolve_host(std::string host, Completion<MxAnswer> done) = 0;
};

}  // namespace postfleet
