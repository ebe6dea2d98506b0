#include "postfleet/proxy/socks5_client.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::proxy;
using namespace std::string_literals;
using Step = Socks5Client::Step;
using Fault = Socks5Client::Fault;

namespace {

const Endpoint kTarget = Endpoint::parse("198.51.100.1:25").value();
const IpAddress kSource = IpAddress::parse("192.0.2.10").value();
const std::string kConnect = "\x05\x01\0\x01\xc6\x33\x64\x01\0\x19"s;
const std::string kBind = "\x05\x02\0\x01\xc0\0\x02\x0a\0\0"s;
const std::string kGranted = "\x05\0\0\x01\xc0\0\x02\x63\x12\x34"s;

struct Talk {
    explicit Talk(Socks5Request request) : client(request) { client.begin(sent); }
    Step say(std::string_view octets) {
        sent.clear();
        const Step step = client.on_octets(octets, sent);
        rest = octets;
        return step;
    }
    Socks5Client client;
    std::string sent;
    std::string rest;
};

std::string refusal(char reply) { return "\x05"s + reply + "\0\x01\0\0\0\0\0\0"s; }

}  // namespace

TEST_CASE("a connection through a SOCKS5 proxy: no login, CONNECT", "[egress][rfc1928]") {
    Talk talk({.target = kTarget, .source = {}, .user = {}, .password = {}});
    CHECK(talk.sent == "\x05\x01\0"s);
    CHECK(talk.say("\x05\0"s) == Step::NeedsMore);
    CHECK(talk.sent == kConnect);
    CHECK(talk.say(kGranted + "220 mx ready\r\n") == Step::Connected);
    CHECK(talk.rest == "220 mx ready\r\n");  // the server may have spoken already
    CHECK(talk.client.bound()->to_string() == "192.0.2.99");
}

TEST_CASE("with user and password, and a source address that is asked for first", "[egress][rfc1929]") {
    Talk talk({.target = kTarget, .source = kSource, .user = "mta", .password = "secret"});
    CHECK(talk.sent == "\x05\x02\0\x02"s);
    CHECK(talk.say("\x05\x02"s) == Step::NeedsMore);
    CHECK(talk.sent == "\x01\x03mta\x06secret"s);
    CHECK(talk.say("\x01\0"s) == Step::NeedsMore);
    CHECK(talk.sent == kBind);
    CHECK(talk.say(kGranted) == Step::NeedsMore);
    CHECK(talk.sent == kConnect);
    CHECK(talk.say("\x05\0\0\x03\x02xy\0\x19"s) == Step::Connected);
    CHECK_FALSE(talk.client.bound());
}

TEST_CASE("a proxy that needs no login is not told one", "[egress][rfc1929]") {
    Talk talk({.target = kTarget, .source = {}, .user = "mta", .password = "secret"});
    CHECK(talk.say("\x05\0"s) == Step::NeedsMore);
    CHECK(talk.sent == kConnect);
}

TEST_CASE("a failure says whose fault it is", "[egress]") {
    const auto ends = [](std::vector<std::string> answers, bool with_source, Fault fault, std::string_view problem) {
        Talk talk({.target = kTarget,
                   .source = with_source ? std::optional(kSource) : std::nullopt,
                   .user = {},
                   .password = {}});
        Step step = Step::NeedsMore;
        for (const std::string& answer : answers) step = talk.say(answer);
        CAPTURE(problem, talk.client.problem());
        CHECK(step == Step::Failed);
        CHECK(talk.client.fault() == fault);
        CHECK(talk.client.problem().find(problem) != std::string::npos);
    };
    ends({"HTTP/1.1 400"}, false, Fault::Proxy, "does not speak SOCKS5");
    ends({"\x05\xff"s}, false, Fault::Proxy, "wants a user");
    ends({"\x05\x02"s}, false, Fault::Proxy, "no way to log in");
    ends({"\x05\0"s, "\x04\0\0\x01\0"s}, false, Fault::Proxy, "does not speak SOCKS5");
    ends({"\x05\0"s, "\x05\0\0\x09\0"s}, false, Fault::Proxy, "does not speak SOCKS5");
    for (const char reply : {'\x01', '\x02', '\x03', '\x04', '\x05', '\x06'}) {
        ends({"\x05\0"s, refusal(reply)}, false, Fault::Target, "the proxy answered");
        ends({"\x05\0"s, refusal(reply)}, true, Fault::Source, "(BIND)");
    }
    ends({"\x05\0"s, refusal(5)}, false, Fault::Target, "connection refused");
    ends({"\x05\0"s, refusal(7)}, false, Fault::Proxy, "command not supported");
    ends({"\x05\0"s, refusal(7)}, true, Fault::Proxy, "command not supported (BIND)");
    ends({"\x05\0"s, refusal(99)}, false, Fault::Proxy, "an unknown reply");
    ends({"\x05\0"s, kGranted, refusal(4)}, true, Fault::Target, "host unreachable");

    Talk login({.target = kTarget, .source = {}, .user = "mta", .password = "wrong"});
    login.say("\x05\x02"s);
    CHECK(login.say("\x01\x01"s) == Step::Failed);
    CHECK(login.client.problem() == "the proxy refused the user or the password");
}

TEST_CASE("answers may come octet by octet", "[egress]") {
    Talk talk({.target = Endpoint::parse("[2001:db8::1]:25").value(), .source = {}, .user = {}, .password = {}});
    const std::string all = "\x05\0"s + "\x05\0\0\x04"s + std::string(16, '\x20') + "\0\x19"s;
    for (std::size_t i = 0; i + 1 < all.size(); ++i) REQUIRE(talk.say(all.substr(i, 1)) == Step::NeedsMore);
    CHECK(talk.say(all.substr(all.size() - 1)) == Step::Connected);
    CHECK(talk.client.bound()->v6);
}
