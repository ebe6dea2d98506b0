#include "destination.hpp"

#include <catch2/catch.hpp>
#include <map>

using namespace postfleet;
using namespace postfleet::sender;

namespace {

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

std::vector<std::string> order(const std::vector<Hop>& hops, std::uint64_t random, const OrderRules& rules = {}) {
    std::vector<std::string> out;
    for (const Candidate& candidate : delivery_order(hops, rules, random))
        out.push_back(candidate.peer.address.to_string());
    return out;
}

}  // namespace

TEST_CASE("addresses come by preference, whatever the order of the answer", "[rfc5321-5.1]") {
    const std::vector<Hop> hops{
        {20, "b", 25, {ip("192.0.2.2")}}, {10, "a", 25, {ip("192.0.2.1")}}, {30, "c", 25, {ip("192.0.2.3")}}};
    for (std::uint64_t random = 0; random < 20; ++random) {
        CHECK(order(hops, random) == std::vector<std::string>{"192.0.2.1", "192.0.2.2", "192.0.2.3"});
    }
}

TEST_CASE("hosts of equal preference come in random order, each about as often first") {
    const std::vector<Hop> hops{{10, "a", 25, {ip("192.0.2.1")}},
                                {10, "b", 25, {ip("192.0.2.2")}},
                                {10, "c", 25, {ip("192.0.2.3")}},
                                {20, "d", 25, {ip("192.0.2.4")}}};
    std::map<std::string, int> first;
    for (std::uint64_t random = 0; random < 3000; ++random) {
        const auto all = order(hops, random * 0x9e3779b97f4a7c15ull);
        ++first[all[0]];
        CHECK(all[3] == "192.0.2.4");
    }
    CHECK(first.size() == 3);
    for (const auto& [address, times] : first) CHECK(times > 850);
}

TEST_CASE("IPv6 and IPv4 take turns within a host") {
    const std::vector<Hop> hops{
        {10, "a", 25, {ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1"), ip("2001:db8::2")}}};
    CHECK(order(hops, 1) == std::vector<std::string>{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"});
}

TEST_CASE("the policy says which family is tried, and which first; one without a source is left out", "[F45]") {
    using Policy = config::AddressFamily;
    using List = std::vector<std::string>;
    const std::vector<Hop> hops{{10, "a", 25, {ip("2001:db8::1"), ip("192.0.2.1"), ip("192.0.2.2")}}};
    CHECK(order(hops, 1, {.policy = Policy::Ipv4First}) == List{"192.0.2.1", "2001:db8::1", "192.0.2.2"});
    CHECK(order(hops, 1, {.policy = Policy::Ipv6First}) == List{"2001:db8::1", "192.0.2.1", "192.0.2.2"});
    CHECK(order(hops, 1, {.policy = Policy::Ipv6}) == List{"2001:db8::1"});
    CHECK(order(hops, 1, {.policy = Policy::Ipv4}) == List{"192.0.2.1", "192.0.2.2"});
    CHECK(order(hops, 1, {.policy = Policy::Ipv6First, .has_v6_source = false}) == List{"192.0.2.1", "192.0.2.2"});
    CHECK(order(hops, 1, {.policy = Policy::Ipv4, .has_v4_source = false}).empty());
}

TEST_CASE("addresses to be avoided come last, however preferred they are, and crowd nobody out", "[F45][C5321-1]") {
    using List = std::vector<std::string>;
    std::vector<Hop> hops{{10, "a.mx", 25, {ip("192.0.2.1"), ip("192.0.2.2")}}, {20, "b.mx", 25, {ip("192.0.2.3")}}};
    const OrderRules rules{.is_avoided = [](const Endpoint& peer) { return peer.address == ip("192.0.2.1"); }};
    CHECK(order(hops, 1, rules) == List{"192.0.2.2", "192.0.2.3", "192.0.2.1"});
    hops[0].addresses.assign(kMaxCandidates, ip("192.0.2.1"));
    CHECK(order(hops, 1, rules).front() == "192.0.2.3");
}

TEST_CASE("one attempt tries a bounded number of addresses", "[F54]") {
    std::vector<Hop> hops;
    for (int i = 0; i < 20; ++i) hops.push_back({10, "h" + std::to_string(i), 25, {ip("192.0.2.1"), ip("192.0.2.2")}});
    CHECK(delivery_order(hops, {}, 5).size() == kMaxCandidates);
}

TEST_CASE("the identity of a destination is its site and set of hosts, not their addresses or order") {
    using Kind = Destination::Kind;
    const Hop a{10, "a.mx", 25, {ip("192.0.2.1")}}, b{20, "b.mx", 25, {}};
    Hop moved = a;
    moved.addresses = {ip("192.0.2.9")};
    CHECK(identity_of(Kind::Deliverable, "s", {a, b}) == identity_of(Kind::Deliverable, "s", {b, moved}));
    CHECK(identity_of(Kind::Deliverable, "s", {a, b}) != identity_of(Kind::Deliverable, "s", {a}));
    CHECK(identity_of(Kind::Deliverable, "s", {a}) != identity_of(Kind::Deliverable, "t", {a}));
    Hop vouched = a;
    vouched.is_secure = true;  // for one domain, not for the other
    CHECK(identity_of(Kind::Deliverable, "s", {vouched}) != identity_of(Kind::Deliverable, "s", {a}));
    CHECK(identity_of(Kind::Failed, "s", {}) != identity_of(Kind::NullMx, "s", {}));
}
