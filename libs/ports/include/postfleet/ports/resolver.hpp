// Resolver (port): what DNS says about where mail goes and how (RFC 5321 §5.1, RFC 7505, RFC 3974).
//
// resolve_mx() looks up MX, then A and AAAA of every host, and answers once with everything. No MX but an
// address: the domain itself is the host (implicit MX). "0 ." is NullMx. Equal preferences come in the
// order of the answer; shuffling is the caller's. An answer is bounded: kMaxHosts hosts, kMaxAddresses
// addresses each, kMaxRecords other records; more is cut.
//
// Every answer says what DNSSEC says of it (RFC 4035 §4.3). Bogus never comes with records: it is Temporary, for
// it is an attack or a mistake that somebody mends, and neither may bounce mail. An implementation that does not
// validate says Insecure. A host among others whose addresses are bogus has none.
//
// Threads: thread-safe; completions run on the executor named, never inside the call. Never blocks. Every query
// has a deadline.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/network.hpp"

namespace postfleet {

enum class DnsState : std::uint8_t { Insecure, Secure, Bogus };

struct MxHost {
    std::uint16_t preference = 0;
    std::string name;                       // lower case, without a trailing dot
    std::vector<IpAddress> addresses{};     // empty: this host did not resolve
    DnsState state = DnsState::Insecure;    // of the addresses, and of the aliases on the way to them
    std::string canonical_name{};           // the end of those aliases (RFC 7672 §2.2.2); empty: there are none
    Duration time_to_live{};                // of the addresses alone
};

struct MxAnswer {
    enum class Kind {
        Found,          // hosts, in order of preference
        NoSuchDomain,   // NXDOMAIN, or neither MX nor address: permanent
        NullMx,         // RFC 7505: takes no mail: permanent
        Temporary,      // SERVFAIL, timeout, bogus: try later
    };
    Kind kind = Kind::Temporary;
    std::vector<MxHost> hosts{};
    Duration time_to_live{};                // of everything
    DnsState state = DnsState::Insecure;    // of the MX records, or of the proof that there are none
    bool is_implicit = false;               // no MX records: the domain is its own host
    bool is_partial = false;                // Found, but a host could not be looked up: it may have addresses
    std::string text{};                     // why not, for people
};

// The records of one name and type.
template <class Record>
struct RecordAnswer {
    enum class Kind {
        Found,
        NoRecords,    // the name exists, without records of this type
        NoSuchName,   // NXDOMAIN
        Temporary,    // SERVFAIL, timeout, bogus: try later; nothing is known
    };
    Kind kind = Kind::Temporary;
    std::vector<Record> records{};
    Duration time_to_live{};
    DnsState state = DnsState::Insecure;
    std::string text{};                     // why not, for people
};

// RFC 6698 §2.1. Values that nobody has defined yet come as they are.
struct TlsaRecord {
    std::uint8_t usage = 0;
    std::uint8_t selector = 0;
    std::uint8_t matching_type = 0;
    std::string association;  // octets
    friend bool operator==(const TlsaRecord&, const TlsaRecord&) = default;
};

using TlsaAnswer = RecordAnswer<TlsaRecord>;
using TxtAnswer = RecordAnswer<std::string>;  // the character-strings of a record joined (RFC 7208 §3.3)

class Resolver {
public:
    static constexpr std::size_t kMaxHosts = 20;
    static constexpr std::size_t kMaxAddresses = 16;
    static constexpr std::size_t kMaxRecords = 64;
    virtual ~Resolver() = default;
    virtual void resolve_mx(std::string domain, Completion<MxAnswer> done) = 0;
    // Only the addresses of a host (routes with names).
    virtual void resolve_host(std::string host, Completion<MxAnswer> done) = 0;
    // `name` is the whole of it: "_25._tcp.mx.example.com", "_mta-sts.example.com".
    virtual void resolve_tlsa(std::string name, Completion<TlsaAnswer> done) = 0;
    virtual void resolve_txt(std::string name, Completion<TxtAnswer> done) = 0;
};

}  // namespace postfleet
