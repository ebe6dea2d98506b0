#include "postfleet/base/network.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace postfleet;

namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
Network net(std::string_view text) { return Network::parse(text).value(); }

TEST_CASE("the network around an address has its first bits and no others") {
    const auto around = [](const char* text, std::uint8_t bits) {
        return Network::around(*IpAddress::parse(text), bits).to_string();
    };
    CHECK(around("192.0.2.77", 32) == "192.0.2.77/32");
    CHECK(around("192.0.2.77", 26) == "192.0.2.64/26");
    CHECK(around("192.0.2.77", 0) == "0.0.0.0/0");
    CHECK(around("192.0.2.77", 64) == "192.0.2.77/32");
    CHECK(around("2001:db8:1:2:3:4:5:6", 64) == "2001:db8:1:2::/64");
    CHECK(around("2001:db8:1:2:3:4:5:6", 200) == "2001:db8:1:2:3:4:5:6/128");
}

}  // namespace

TEST_CASE("addresses come back in their shortest form", "[rfc5952]") {
    for (const std::string_view text : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1",
                                        "2001:db8:0:1:1:1:1:1", "fe80::1:0:0:1", "1:2:3:4:5:6:7:8"}) {
        CHECK(ip(text).to_string() == text);
    }
    CHECK(ip("2001:DB8:0:0:0:0:0:1").to_string() == "2001:db8::1");
    CHECK_FALSE(ip("192.0.2.1").v6);
    CHECK(ip("::1").v6);
}

TEST_CASE("an IPv4 address mapped into IPv6 is the IPv4 address", "[rfc4291-2.5.5.2]") {
    CHECK(ip("::ffff:192.0.2.1") == ip("192.0.2.1"));
    CHECK(ip("::FFFF:c000:0201") == ip("192.0.2.1"));
    CHECK(ip("::192.0.2.1").v6);  // the deprecated compatible form is something else
}

TEST_CASE("what is no address is refused") {
    const auto text =
        GENERATE(as<std::string>(), "", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4",
                 "1.2.3.4/8", "0x7f.1", "localhost", ":", ":::", "1::2::3", "12345::", "fe80::1%eth0", "[::1]",
                 "::ffff:1.2.3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9");
    CAPTURE(text);
    CHECK_FALSE(IpAddress::parse(text));
    CHECK_FALSE(IpAddress::parse(text + std::string(1, '\0')));
    CHECK_FALSE(IpAddress::parse("192.0.2.1" + std::string(1, '\0') + text));
    CHECK_FALSE(IpAddress::parse(std::string(100'000, '1') + text));
}

TEST_CASE("addresses as domain literals", "[rfc5321-4.1.3]") {
    CHECK(ip("192.0.2.1").to_literal() == "[192.0.2.1]");
    CHECK(ip("2001:db8::1").to_literal() == "[IPv6:2001:db8::1]");
}

TEST_CASE("addresses order by family, then by octets, so they can be keys") {
    const std::set<IpAddress> ordered{ip("::1"), ip("10.0.0.2"), ip("10.0.0.1"), ip("::ffff:10.0.0.1")};
    CHECK(ordered.size() == 3);
    CHECK(*ordered.begin() == ip("10.0.0.1"));
    CHECK(*ordered.rbegin() == ip("::1"));
}

TEST_CASE("loopback and unspecified addresses are known in both families") {
    CHECK(ip("127.0.0.1").is_loopback());
    CHECK(ip("127.255.0.9").is_loopback());
    CHECK(ip("::1").is_loopback());
    CHECK(ip("::ffff:127.0.0.1").is_loopback());
    CHECK_FALSE(ip("128.0.0.1").is_loopback());
    CHECK_FALSE(ip("::2").is_loopback());
    CHECK(ip("0.0.0.0").is_unspecified());
    CHECK(ip("::").is_unspecified());
    CHECK_FALSE(ip("0.0.0.1").is_unspecified());
}

TEST_CASE("reserved addresses, at the borders of each range", "[rfc6890]") {
    for (const auto text : {"0.1.2.3",
                            "10.0.0.0",
                            "10.255.255.255",
                            "100.64.0.0",
                            "100.127.255.255",
                            "127.0.0.1",
                            "169.254.1.1",
                            "172.16.0.0",
                            "172.31.255.255",
                            "192.0.0.8",
                            "192.0.2.9",
                            "192.88.99.1",
                            "192.168.0.0",
                            "198.18.0.1",
                            "198.19.255.255",
                            "198.51.100.7",
                            "203.0.113.7",
                            "224.0.0.1",
                            "239.255.255.255",
                            "240.0.0.1",
                            "255.255.255.255",
                            "::",
                            "::1",
                            "fc00::1",
                            "fdff::1",
                            "fe80::1",
                            "ff02::1",
                            "2001:db8::1",
                            "2001::1",
                            "2002::1",
                            "3fff::1",
                            "100::1",
                            "::ffff:10.0.0.1",
                            "64:ff9b::10.0.0.1",
                            "5f00::1"}) {
        CAPTURE(text);
        CHECK(ip(text).is_reserved());
    }
    for (const auto text : {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
                            "172.32.0.0", "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255",
                            "2606:4700::1", "2a00::1", "64:ff9b::808:808", "2001:200::1"}) {
        CAPTURE(text);
        CHECK_FALSE(ip(text).is_reserved());
    }
}

TEST_CASE("endpoints have an address and a port") {
    CHECK(Endpoint::parse("192.0.2.1:25")->to_string() == "192.0.2.1:25");
    CHECK(Endpoint::parse("[2001:db8::1]:65535")->to_string() == "[2001:db8::1]:65535");
    CHECK(Endpoint::parse("127.0.0.1:0")->port == 0);
    CHECK(Endpoint::parse("[::ffff:127.0.0.1]:25")->to_string() == "127.0.0.1:25");
    const auto wrong = GENERATE(as<std::string>(), "", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536",
                                "192.0.2.1:-1", "192.0.2.1:+1", "192.0.2.1:2 5", "::1:25", "[::1]", "[::1]25",
                                "[::1:25", "::1]:25", "[192.0.2.1]:25", "host:25", ":25", "[]:25");
    CAPTURE(wrong);
    CHECK_FALSE(Endpoint::parse(wrong));
}

TEST_CASE("a network contains what shares its prefix") {
    CHECK(net("10.0.0.0/8").contains(ip("10.255.0.1")));
    CHECK_FALSE(net("10.0.0.0/8").contains(ip("11.0.0.0")));
    CHECK(net("192.0.2.128/25").contains(ip("192.0.2.128")));
    CHECK_FALSE(net("192.0.2.128/25").contains(ip("192.0.2.127")));
    CHECK(net("192.0.2.1/32").contains(ip("192.0.2.1")));
    CHECK_FALSE(net("192.0.2.1/32").contains(ip("192.0.2.0")));
    CHECK(net("2001:db8:8000::/33").contains(ip("2001:db8:ffff::1")));
    CHECK_FALSE(net("2001:db8:8000::/33").contains(ip("2001:db8:7fff::1")));
    CHECK(net("192.0.2.1") == net("192.0.2.1/32"));
    CHECK(net("::1").prefix_bits == 128);
}

TEST_CASE("the families stay apart, except for mapped addresses, which are IPv4") {
    CHECK(net("0.0.0.0/0").contains(ip("8.8.8.8")));
    CHECK(net("0.0.0.0/0").contains(ip("::ffff:8.8.8.8")));
    CHECK_FALSE(net("0.0.0.0/0").contains(ip("2001:db8::1")));
    CHECK(net("::/0").contains(ip("2001:db8::1")));
    CHECK_FALSE(net("::/0").contains(ip("8.8.8.8")));
    CHECK_FALSE(net("::/0").contains(ip("::ffff:8.8.8.8")));
    CHECK(net("::ffff:10.0.0.0/104") == net("10.0.0.0/8"));
    CHECK(net("::ffff:10.0.0.1") == net("10.0.0.1/32"));
    CHECK_FALSE(Network::parse("::ffff:0.0.0.0/95"));
}

TEST_CASE("what is no network is refused, and stray bits get a proposal") {
    const auto text = GENERATE(as<std::string>(), "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
                               "10.0.0.0/8/8", "10.0.0.0/8 ", "::/129", "10/8", "any", "10.0.0.0/255.0.0.0");
    CAPTURE(text);
    CHECK_FALSE(Network::parse(text));
    CHECK_THAT(Network::parse("10.1.2.3/8").error().text, Catch::Matchers::Contains("did you mean 10.0.0.0/8?"));
    CHECK_THAT(Network::parse("2001:db8::1/32").error().text, Catch::Matchers::Contains("2001:db8::/32"));
}
