// Connections through egress proxies: what they are asked, and what becomes of the mail when they fail.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

constexpr const char* kProxy = "203.0.113.1:1080";

config::VirtualMta& behind(SenderWorld& world, const std::string& scheme) {
    config::VirtualMta& identity = world.config.virtual_mtas["v1"];
    identity.proxy = config::EgressProxy::parse(scheme + "://" + kProxy).value();
    return identity;
}

// A SOCKS5 proxy in front of a mail server that takes everything. `reply` is its answer to a command (1 CONNECT, 2
// BIND); after a granted CONNECT it is the server.
void make_socks(FakeHost& host, std::vector<std::string>& asked, std::function<char(char)> reply = {}) {
    host.greeting = "";
    enum class Stage { Greeting, Commands, Through };
    auto stages = std::make_shared<std::map<unsigned, Stage>>();  // by connection
    host.on_octets = [&asked, reply, stages](Peer& peer, std::string& octets) {
        Stage& stage = (*stages)[peer.number()];
        if (stage == Stage::Through) return false;
        asked.push_back(std::exchange(octets, {}));
        if (stage == Stage::Greeting) {
            stage = Stage::Commands;
            peer.say("\x05\0"s);
            return true;
        }
        const char command = asked.back()[1];
        const char code = reply ? reply(command) : '\0';
        peer.say("\x05"s + code + "\0\x01\xcb\0\x71\x63\0\0"s);
        if (code == 0 && command == 1) {
            stage = Stage::Through;
            peer.say("220 mx.test ESMTP\r\n");
        }
        return true;
    };
}

}  // namespace

TEST_CASE("SOCKS5: the source is asked for, then the server's address; the mail goes through", "[egress]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"});
    behind(world, "socks5");
    FakeHost& proxy = world.host(kProxy);
    std::vector<std::string> asked;
    make_socks(proxy, asked);
    world.start();
    world.accept({});
    REQUIRE(asked.size() == 3);
    CHECK(asked[1] == "\x05\x02\0\x01\xc0\0\x02\x0a\0\0"s);         // BIND 192.0.2.10
    CHECK(asked[2] == "\x05\x01\0\x01\xc0\0\x02\x01\0\x19"s);     // CONNECT 192.0.2.1:25
    CHECK(proxy.sources == std::vector<std::string>{"127.0.0.1"});  // the way to the proxy is not bound
    CHECK(world.host("192.0.2.1:25").connects == 0);
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].delivery->mx_host == "a.mx");
    CHECK(delivered[0].delivery->mx_address == "192.0.2.1:25");
    CHECK(delivered[0].delivery->source_address == "203.0.113.99");  // as the proxy says
}

TEST_CASE("HAProxy: a header says from where and to where", "[egress]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"});
    const bool text = GENERATE(true, false);
    behind(world, text ? "haproxy-v1" : "haproxy");
    FakeHost& proxy = world.host(kProxy);
    std::string header;
    proxy.on_octets = [&header, text](Peer&, std::string& octets) {
        if (!header.empty()) return false;
        header = octets.substr(0, text ? octets.find('\n') + 1 : 28);
        octets.erase(0, header.size());
        return false;
    };
    world.start();
    world.accept({});
    if (text) {
        CHECK(header == "PROXY TCP4 192.0.2.10 192.0.2.1 0 25\r\n");
    } else {
        CHECK(header == "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x0a\xc0\0\x02\x01\0\0\0\x19"s);
    }
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].delivery->source_address == "192.0.2.10");
}

TEST_CASE("a proxy that fails leaves the rotation; its mail waits, says why, and nothing goes past it", "[egress]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1", "20 b.mx 192.0.2.2"});
    world.shaping().retry_after = std::vector<Duration>{1h};
    behind(world, "socks5");
    FakeHost& proxy = world.host(kProxy);
    std::vector<std::string> asked;
    make_socks(proxy, asked);
    std::string why;
    SECTION("refuses connections") {
        proxy.refuses = CloseReason{CloseReason::Kind::ConnectRefused, "connection refused"};
        why = "connection refused";
    }
    SECTION("is silent") {
        proxy.is_black_hole = true;
        why = "timed out";
    }
    SECTION("speaks something else") {
        proxy.on_octets = [](Peer& peer, std::string& octets) {
            octets.clear();
            peer.say("HTTP/1.1 400 Bad Request\r\n\r\n");
            return true;
        };
        why = "the proxy does not speak SOCKS5";
    }
    SECTION("cannot choose the source") {
        make_socks(proxy, asked, [](char command) { return command == 2 ? '\x07' : '\0'; });
        why = "the proxy answered: command not supported (BIND)";
    }
    world.start();
    for (int i = 0; i < 20; ++i) world.hand_over({});
    world.advance(65s);
    CHECK(world.host("192.0.2.1:25").connects == 0);
    CHECK(world.count(EventType::Deferred) == 0);  // it is no fault of theirs
    CHECK(world.queue("a.mx/v1").hold_reason == "proxy socks5://203.0.113.1:1080: " + why);
    const auto disabled = world.events(EventType::VirtualMtaDisabled);
    REQUIRE(disabled.size() == 1);
    CHECK(disabled[0].reason == "proxy socks5://203.0.113.1:1080: " + why);

    proxy.refuses.reset();
    proxy.is_black_hole = false;
    make_socks(proxy, asked);
    world.advance(5min);
    CHECK(world.count(EventType::Delivered) == 20);
    CHECK(world.count(EventType::VirtualMtaEnabled) == 1);
}

TEST_CASE("a source that the proxy cannot bind is suspended, another one is used", "[egress][F48]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"});
    behind(world, "socks5").sources.push_back(IpAddress::parse("192.0.2.11").value());
    FakeHost& proxy = world.host(kProxy);
    std::vector<std::string> asked;
    int binds = 0;
    make_socks(proxy, asked, [&binds](char command) { return command == 2 && binds++ == 0 ? '\x01' : '\0'; });
    world.start();
    world.accept({});
    CHECK(world.count(EventType::Delivered) == 1);
    const auto disabled = world.events(EventType::VirtualMtaDisabled);
    REQUIRE(disabled.size() == 1);
    CHECK(disabled[0].reason == "cannot bind 192.0.2.10: the proxy answered: general failure (BIND)");
}

TEST_CASE("a server that the proxy cannot reach is the server's failure: the next one is tried", "[egress]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1", "20 b.mx 192.0.2.2"});
    behind(world, "socks5");
    FakeHost& proxy = world.host(kProxy);
    std::vector<std::string> asked;
    int connects = 0;
    make_socks(proxy, asked, [&connects](char command) { return command == 1 && connects++ == 0 ? '\x05' : '\0'; });
    world.start();
    world.accept({});
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].delivery->mx_host == "b.mx");
    CHECK(world.count(EventType::VirtualMtaDisabled) == 0);
}
