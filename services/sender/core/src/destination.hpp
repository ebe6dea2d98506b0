// Destination: what one session can deliver: the hosts of one MX set (or route), under a site's name.
//
// Domains with the same site, the same set of hosts and the same MTA-STS policy share one Destination, so a session that
// was opened for one of them serves them all, and never a domain whose MX set or policy is another one. The addresses of
// the hosts change with DNS; the identity (site, preferences, host names and whether DNSSEC vouches for them, ports, terms
// of TLS) does not.
//
// delivery_order() is the order to try addresses in (RFC 5321 §5.1): by preference, hosts of equal preference
// in random order, the addresses of a host in the order of the answer, the two families in turn, so that a broken
// one costs one timeout and not one for each of its addresses.
//
// Threads: thread-safe; addresses are swapped whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/mta_sts/policy.hpp"
#include "postfleet/routing/hop.hpp"

namespace postfleet::sender {

using routing::Hop;

// What the recipient domain, or the message, says of TLS with the hosts; it is the same for all domains that share a
// destination.
struct TlsTerms {
    std::shared_ptr<const mta_sts::Policy> sts;  // null: none that counts
    bool is_waived = false;  // TLS-Required: No (RFC 8689 §5): what receivers publish does not bind
};

class Destination final {
public:
    enum class Kind : std::uint8_t {
        Deliverable,
        NoSuchDomain,  // permanent
        NullMx,        // permanent (RFC 7505)
        Loop,          // permanent: the mail would come back to us (RFC 5321 §5.1)
        Private,       // permanent: nothing but addresses that may not be connected to
        Failed,        // DNS did not answer: ask again
    };

    Destination(Kind its_kind, std::string its_site, std::string its_text, std::vector<Hop> hops, TlsTerms terms = {})
        : kind(its_kind),
          site(std::move(its_site)),
          text(std::move(its_text)),
          tls_terms(std::move(terms)),
          hops_(std::make_shared<const std::vector<Hop>>(std::move(hops))) {}

    const Kind kind;
    const std::string site;
    const std::string text;  // why not, for people
    const TlsTerms tls_terms;

    bool is_permanent_failure() const { return kind != Kind::Deliverable && kind != Kind::Failed; }

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
std::string identity_of(Destination::Kind kind, const std::string& site, const std::vector<Hop>& hops,
                        const TlsTerms& terms = {});

struct Candidate {
    std::string host;
    Endpoint peer;
    bool is_name_trusted = false;           // by DNSSEC, or because the operator wrote it
    std::vector<std::string> tlsa_bases{};  // names whose TLSA records are believed, best first (RFC 7672 §2.2)
    std::shared_ptr<const config::RouteAccess> access{};  // Hop::access
};
inline constexpr std::size_t kMaxCandidates = 12;  // addresses that one attempt to open a session tries

// What an order is made by, besides the hosts.
struct OrderRules {
    config::AddressFamily policy = config::AddressFamily::Ipv6First;
    bool has_v4_source = true;
    bool has_v6_source = true;
    std::function<bool(const Endpoint&)> is_avoided{};  // tried after the others
};
std::vector<Candidate> delivery_order(const std::vector<Hop>& hops, const OrderRules& rules, std::uint64_t random);

}  // namespace postfleet::sender
