// Which of the hosts that DNS answered mail goes to: loops, and addresses that a domain's owner must not choose.
#include <catch2/catch.hpp>

#include "postfleet/config_files/load.hpp"
#include "postfleet/routing/snapshot.hpp"

using namespace postfleet;
using namespace postfleet::routing;
using Verdict = Admission::Verdict;

namespace {

std::shared_ptr<const Snapshot> compile(const std::string& more) {
    const auto result = config_files::load_text(
        "hostname: MTA1.example.net\nlisteners: {relay: {address: \"127.0.0.1:2525\"}}\n" + more);
    INFO(config_files::to_string(result.problems));
    REQUIRE(result.config);
    return Snapshot::compile(*result.config);
}

Hop hop(std::uint16_t preference, std::string host, std::initializer_list<const char*> addresses) {
    Hop made{preference, std::move(host), 25, {}};
    for (const char* address : addresses) made.addresses.push_back(IpAddress::parse(address).value());
    return made;
}

Admission admit(const Snapshot& snapshot, std::vector<Hop> hops, HopsState state = HopsState::Complete) {
    return snapshot.admit("a.test", std::move(hops), state);
}

}  // namespace

TEST_CASE("no private or reserved address is ever connected to", "[SEC-13][F70]") {
    const auto snapshot = compile("");
    for (const char* address : {"0.0.0.0",
                                "0.1.2.3",
                                "10.0.0.1",
                                "100.64.0.1",
                                "127.0.0.1",
                                "127.1.2.3",
                                "169.254.169.254",
                                "172.16.0.1",
                                "172.31.255.255",
                                "192.168.1.1",
                                "198.18.0.1",
                                "224.0.0.1",
                                "240.0.0.1",
                                "255.255.255.255",
                                "192.0.2.1",
                                "::",
                                "::1",
                                "::ffff:127.0.0.1",
                                "::ffff:10.0.0.1",
                                "::7f00:1",
                                "64:ff9b::7f00:1",
                                "64:ff9b::10.0.0.1",
                                "64:ff9b:1::1",
                                "2002:7f00:1::1",
                                "2001::1",
                                "fe80::1",
                                "fc00::1",
                                "fd12::1",
                                "ff02::1"}) {
        INFO(address);
        const auto refused = admit(*snapshot, {hop(10, "mx.a.test", {address})});
        CHECK(refused.verdict == Verdict::Private);
        CHECK(refused.text.find("allow_private_targets") != std::string::npos);
    }
    for (const char* address : {"1.1.1.1", "8.8.8.8", "172.32.0.1", "64:ff9b::808:808", "2a00:1450::1"}) {
        INFO(address);
        CHECK(admit(*snapshot, {hop(10, "mx.a.test", {address})}).verdict == Verdict::Deliverable);
    }
}

TEST_CASE("an address in the wire form of IPv4 mapped into IPv6 is no way round", "[SEC-13]") {
    Hop mapped = hop(10, "mx.a.test", {});
    IpAddress address;
    address.v6 = true;
    address.octets = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
    mapped.addresses = {address};
    CHECK(admit(*compile(""), {mapped}).verdict == Verdict::Private);
}

TEST_CASE("private addresses are left out beside others, and networks can be allowed", "[SEC-13]") {
    const auto mixed = std::vector<Hop>{hop(10, "a", {"10.0.0.1", "8.8.8.8"}), hop(20, "b", {"127.0.0.1"})};
    const auto usual = admit(*compile(""), mixed);
    REQUIRE(usual.verdict == Verdict::Deliverable);
    REQUIRE(usual.hops.size() == 2);  // the site is still named after all of them
    CHECK(usual.hops[0].addresses == std::vector<IpAddress>{*IpAddress::parse("8.8.8.8")});
    CHECK(usual.hops[1].addresses.empty());
    const auto allowed = admit(*compile("allow_private_targets: [10.0.0.0/8]\n"), mixed);
    CHECK(allowed.hops[0].addresses.size() == 2);
    CHECK(allowed.hops[1].addresses.empty());
}

TEST_CASE("what could not be looked up may be better: then nothing is final") {
    const auto snapshot = compile("");
    CHECK(admit(*snapshot, {hop(10, "a", {"10.0.0.1"}), hop(10, "b", {})}, HopsState::Partial).verdict ==
          Verdict::Unknown);
    CHECK(admit(*snapshot, {hop(10, "a", {})}).verdict == Verdict::Unknown);
}

TEST_CASE("this host among the mail exchangers: only better ones are used", "[C5321-1][rfc5321-5.1]") {
    const auto by_name = compile("");
    const auto backup = admit(*by_name, {hop(10, "best", {"8.8.8.8"}), hop(20, "mta1.example.net", {"9.9.9.9"}),
                                         hop(20, "equal", {"8.8.4.4"}), hop(30, "worse", {"1.1.1.1"})});
    REQUIRE(backup.verdict == Verdict::Deliverable);
    REQUIRE(backup.hops.size() == 1);
    CHECK(backup.hops[0].host == "best");
    const auto loop = admit(*by_name, {hop(10, "mta1.example.net", {"9.9.9.9"}), hop(20, "worse", {"1.1.1.1"})});
    CHECK(loop.verdict == Verdict::Loop);
    CHECK(loop.text == "mail for a.test loops back: its mail exchanger mta1.example.net is this host");
}

TEST_CASE("an address is this host's where it takes mail on port 25", "[C5321-1]") {
    const std::vector<Hop> hops{hop(10, "mx.a.test", {"9.9.9.9"})};
    CHECK(admit(*compile("virtual_mtas: {v: {source: 9.9.9.9}}\n"), hops).verdict == Verdict::Deliverable);
    const auto listening = [](const std::string& address) {
        const auto result = config_files::load_text("listeners: {mx: {address: \"" + address +
                                                    "\"}}\nvirtual_mtas: {v: {source: 9.9.9.9}}\n");
        REQUIRE(result.config);
        return Snapshot::compile(*result.config);
    };
    CHECK(admit(*listening("9.9.9.9:25"), hops).verdict == Verdict::Loop);
    CHECK(admit(*listening("0.0.0.0:25"), hops).verdict == Verdict::Loop);
    CHECK(admit(*listening("[::]:25"), hops).verdict == Verdict::Deliverable);
    CHECK(admit(*listening("0.0.0.0:587"), hops).verdict == Verdict::Deliverable);
}
