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

// IPv6 and IPv4 in turn, so that a broken family costs one timeout and not one for each of its addresses.
std::vector<IpAddress> interleaved(const std::vector<IpAddress>& addresses) {
    std::vector<IpAddress> v6, v4, out;
    for (const IpAddress& address : addresses) (address.v6 ? v6 : v4).push_back(address);
    for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
        if (i < v6.size()) out.push_back(v6[i]);
        if (i < v4.size()) out.push_back(v4[i]);
    }
    return out;
}

}  // namespace

std::string identity_of(Destination::Kind kind, const std::string& site, const std::vector<Hop>& hops) {
    std::string key(1, static_cast<char>('0' + static_cast<int>(kind)));
    key += site;
    std::vector<std::string> parts;
    for (const Hop& hop : hops) {
        parts.push_back('\n' + std::to_string(hop.preference) + ' ' + hop.host + ':' + std::to_string(hop.port));
    }
    std::sort(parts.begin(), parts.end());
    for (const std::string& part : parts) key += part;
    return key;
}

std::vector<Candidate> delivery_order(const std::vector<Hop>& hops, std::uint64_t random) {
    std::vector<const Hop*> order;
    for (const Hop& hop : hops) order.push_back(&hop);
    for (std::size_t i = order.size(); i > 1; --i) {
        std::swap(order[i - 1], order[static_cast<std::size_t>(next_random(random) % i)]);
    }
    std::stable_sort(order.begin(), order.end(),
                     [](const Hop* a, const Hop* b) { return a->preference < b->preference; });
    std::vector<Candidate> out;
    for (const Hop* hop : order) {
        for (const IpAddress& address : interleaved(hop->addresses)) {
            if (out.size() == kMaxCandidates) return out;
            out.push_back({hop->host, Endpoint{address, hop->port}});
        }
    }
    return out;
}

}  // namespace postfleet::sender
