#include "destination.hpp"

#include <algorithm>

namespace postfleet::sender {

namespace {

// splitmix64: one seed, as many numbers as a shuffle needs.
std::uint64_t next_random(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

std::vector<IpAddress> interleaved(const std::vector<IpAddress>& addresses, const OrderRules& rules) {
    using Policy = config::AddressFamily;
    const bool v6_first = rules.policy == Policy::Ipv6First;
    std::vector<IpAddress> first, second, out;
    for (const IpAddress& address : addresses) {
        const bool fits = address.v6 ? rules.has_v6_source && rules.policy != Policy::Ipv4
                                     : rules.has_v4_source && rules.policy != Policy::Ipv6;
        if (fits) (address.v6 == v6_first ? first : second).push_back(address);
    }
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i < first.size()) out.push_back(first[i]);
        if (i < second.size()) out.push_back(second[i]);
    }
    return out;
}

}  // namespace

std::string identity_of(Destination::Kind kind, const std::string& site, const std::vector<Hop>& hops,
                        const TlsTerms& terms) {
    std::string key(1, static_cast<char>('0' + static_cast<int>(kind)));
    key += site;
    if (terms.is_waived) key += "\ntls waived";
    if (terms.sts) {
        key += '\n';
        key += mta_sts::to_string(terms.sts->mode);
        for (const std::string& mx : terms.sts->mx) key += ' ' + mx;
    }
    std::vector<std::string> parts;
    for (const Hop& hop : hops) {
        std::string& part = parts.emplace_back('\n' + std::to_string(hop.preference) + ' ' + hop.host + ':');
        part += std::to_string(hop.port);
        // DANE holds for a host that a signed answer named, and not because of another domain's answer.
        if (hop.is_secure) part += " signed";
        // Connections are logged in as one user, and stay so.
        if (hop.access) part += (hop.access->is_implicit_tls ? " tls " : " ") + hop.access->user;
    }
    std::sort(parts.begin(), parts.end());
    for (const std::string& part : parts) key += part;
    return key;
}

namespace {

std::vector<std::string> tlsa_bases_of(const Hop& hop) {
    if (!hop.is_secure || IpAddress::parse(hop.host)) return {};
    if (hop.canonical_name.empty() || hop.canonical_name == hop.host) return {hop.host};
    return {hop.canonical_name, hop.host};
}

}  // namespace

std::vector<Candidate> delivery_order(const std::vector<Hop>& hops, const OrderRules& rules, std::uint64_t random) {
    std::vector<const Hop*> order;
    for (const Hop& hop : hops) order.push_back(&hop);
    for (std::size_t i = order.size(); i > 1; --i) {
        std::swap(order[i - 1], order[static_cast<std::size_t>(next_random(random) % i)]);
    }
    std::stable_sort(order.begin(), order.end(),
                     [](const Hop* a, const Hop* b) { return a->preference < b->preference; });
    std::vector<Candidate> out;
    for (const Hop* hop : order) {
        for (const IpAddress& address : interleaved(hop->addresses, rules)) {
            out.push_back({hop->host, Endpoint{address, hop->port}, hop->is_secure || hop->is_configured,
                           tlsa_bases_of(*hop), hop->access});
        }
    }
    if (rules.is_avoided) {
        std::stable_partition(out.begin(), out.end(),
                              [&](const Candidate& candidate) { return !rules.is_avoided(candidate.peer); });
    }
    if (out.size() > kMaxCandidates) out.resize(kMaxCandidates);
    return out;
}

}  // namespace postfleet::sender
