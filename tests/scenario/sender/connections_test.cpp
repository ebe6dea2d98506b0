// Opening, reusing and closing connections; which host is tried.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {
const CloseReason kRefused{CloseReason::Kind::ConnectRefused, "connection refused"};
}

TEST_CASE("MX hosts are tried in order of preference, the next one when one fails", "[C5321-1]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"20 b.mx 192.0.2.2", "10 a.mx 192.0.2.1", "30 c.mx 192.0.2.3"});
    FakeHost& first = world.host("192.0.2.1:25");
    SECTION("connecting refused") { first.refuses = kRefused; }
    SECTION("connecting never ends") { first.is_black_hole = true; }
    SECTION("greeting 4xx") { first.greeting = "421 busy\r\n"; }
    SECTION("greeting 5xx") { first.greeting = "554 go away\r\n"; }
    SECTION("no greeting") { first.greeting = ""; }
    SECTION("not SMTP") { first.greeting = "SSH-2.0\r\n"; }
    SECTION("EHLO and HELO refused") {
        first.on_command = [](Peer&, const std::string&) { return "550 no\r\n"; };
    }
    world.start();
    world.accept({});
    world.advance(6min);
    CHECK(world.host("192.0.2.2:25").deliveries.size() == 1);
    CHECK(world.host("192.0.2.3:25").connects == 0);
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].attempt == 1);
    CHECK(delivered[0].delivery->mx_host == "b.mx");
    CHECK(delivered[0].queue == "a.mx/v1");
    CHECK(world.count(EventType::Deferred) == 0);
}

TEST_CASE("hosts of equal preference share the connections") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1", "10 b.mx 192.0.2.2"});
    world.shaping().max_messages_per_connection = 1;
    world.start();
    for (int i = 0; i < 40; ++i) world.accept({});
    CHECK(world.host("192.0.2.1:25").deliveries.size() > 8);
    CHECK(world.host("192.0.2.2:25").deliveries.size() > 8);
}

TEST_CASE("an open connection is used again, and closed when it was idle for long enough") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.accept({});
    const FakeHost& host = world.host("192.0.2.1:25");
    world.advance(4s);
    world.accept({});
    world.advance(4s);
    world.accept({});
    CHECK(host.connects == 1);
    CHECK(host.deliveries.size() == 3);
    CHECK(host.open == 1);
    world.advance(6s);
    CHECK(host.open == 0);
    CHECK(host.peers[0]->commands.back() == "QUIT");
    CHECK(world.queue("x.test/v1").connections == 0);
    world.accept({});
    CHECK(host.connects == 2);
}

TEST_CASE("without pipelining, by setting, every command waits for its reply") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().pipelining = false;
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT TO:<bad")) return "550 no\r\n";
        return {};
    };
    world.start();
    world.accept({.to = {"bad@x.test"}});
    const auto& commands = host.peers[0]->commands;
    CHECK(std::count(commands.begin(), commands.end(), "DATA") == 0);
    world.accept({.to = {"good@x.test"}});
    CHECK(host.deliveries.size() == 1);
}

TEST_CASE("a dead host is probed at growing intervals, one connection at a time") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().retry_after = std::vector<Duration>{10min};
    FakeHost& host = world.host("192.0.2.1:25");
    host.refuses = kRefused;
    world.start();
    for (int i = 0; i < 100; ++i) world.hand_over({});
    world.settle();
    const QueueStatus queue = world.queue("x.test/v1");
    CHECK(queue.hold_reason == "connecting failed: connection refused");
    CHECK(world.count(EventType::Deferred) == 1);  // however many connections were under way
    const unsigned first_wave = host.connects;
    world.advance(31s);
    CHECK(host.connects == first_wave + 5);  // after 1, 2, 4, 8 and 16 s
    CHECK(world.count(EventType::Deferred) == 6);
    const auto deferred = world.events(EventType::Deferred);
    CHECK(deferred[0].delivery->phase == SmtpPhase::Connect);
    CHECK(deferred[0].delivery->reply.text == "connection refused");
    CHECK(deferred[0].delivery->mx_address == "192.0.2.1:25");

    host.refuses.reset();
    world.advance(5min);
    CHECK(world.count(EventType::Delivered) == 94);
    world.advance(15min);
    CHECK(world.count(EventType::Delivered) == 100);
    CHECK(world.queue("x.test/v1").hold_reason.empty());
}

TEST_CASE("each phase has a deadline of its own, per reply and not per octet", "[F32][C5321-3]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().rcpt_timeout = 30s;
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [&world](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command == "DATA") return "";
        if (!command.starts_with("RCPT")) return {};
        ManualExecutor& clock = *world.executors[0];
        for (int i = 1; i < 300; ++i)
            clock.schedule_at(clock.now() + std::chrono::seconds(i), [&peer] { peer.say("2"); });
        return "";
    };
    world.start();
    world.accept({});
    world.advance(29s);
    CHECK(world.count(EventType::Deferred) == 0);
    world.advance(2s);
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->phase == SmtpPhase::Rcpt);
    CHECK(deferred[0].delivery->reply.text == "timed out while sending RCPT TO");
}

TEST_CASE("the reply to the message may take nine minutes", "[F34]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [&world](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command != ".") return {};
        ManualExecutor& clock = *world.executors[0];
        clock.schedule_at(clock.now() + 9min, [&peer] { peer.say("250 2.0.0 at last\r\n"); });
        return "";
    };
    world.start();
    world.accept({});
    world.advance(10min);
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(world.count(EventType::Deferred) == 0);
}

TEST_CASE("a connection lost after the final dot: the outcome is unknown, tried again, counted", "[C5321-8][rfc1047]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    int losses = 1;
    host.on_command = [&losses](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command != "." || losses-- <= 0) return {};
        peer.reset();
        return "";
    };
    world.start();
    world.accept({});
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->phase == SmtpPhase::EndOfData);
    CHECK(deferred[0].delivery->reply.text == "connection reset by peer while waiting for the reply to the message");
    world.advance(11s);
    CHECK(world.count(EventType::Delivered) == 1);
}

TEST_CASE("421 ends the connection and defers only what was under way", "[C5321-6]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 1;
    FakeHost& host = world.host("192.0.2.1:25");
    int n = 0;
    host.on_command = [&n](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT") && ++n == 2) return "421 4.7.0 try later\r\n";
        return {};
    };
    world.start();
    for (int i = 0; i < 5; ++i) world.hand_over({.to = {"r" + std::to_string(i) + "@x.test"}});
    world.settle();
    world.advance(5s);
    CHECK(world.count(EventType::Deferred) == 1);
    CHECK(world.count(EventType::Delivered) == 4);
    world.advance(20s);
    CHECK(world.count(EventType::Delivered) == 5);
}

TEST_CASE("a server that closes between two transactions costs nobody an attempt", "[F43]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 1;
    FakeHost& host = world.host("192.0.2.1:25");
    const bool silently = GENERATE(true, false);
    host.on_command = [silently](Peer& peer, const std::string& command) -> std::optional<std::string> {
        const auto& commands = peer.commands;
        if (!command.starts_with("MAIL") || std::count(commands.begin(), commands.end(), ".") < 3) return {};
        if (silently) {
            peer.reset();
            return "";
        }
        return "421 4.7.0 too many messages\r\n";
    };
    world.start();
    for (int i = 0; i < 10; ++i) world.hand_over({});
    world.settle();
    world.advance(5s);
    CHECK(world.count(EventType::Delivered) == 10);
    CHECK(world.count(EventType::Deferred) == 0);
    CHECK(host.connects == 4);
}

TEST_CASE("a server that always closes on a fresh connection does not spin us") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (!command.starts_with("MAIL")) return {};
        peer.reset();
        return "";
    };
    world.start();
    world.accept({});
    world.advance(5s);
    CHECK(host.connects == 1);
    CHECK(world.count(EventType::Deferred) == 1);
}

TEST_CASE("a peer that is silent when it says goodbye holds nothing for long") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == "QUIT") return "";
        return {};
    };
    host.keeps_open_after_quit = true;
    world.start();
    world.accept({});
    world.advance(20s);
    CHECK(host.open == 0);
    CHECK(world.queue("x.test/v1").connections == 0);
}

TEST_CASE("one hot queue uses all shards") {
    SenderWorld world(2);
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == ".") return "";
        return {};
    };
    world.start();
    for (int i = 0; i < 10; ++i) world.hand_over({}, 0);
    for (int i = 0; i < 10; ++i) world.hand_over({}, 1);
    world.settle();
    CHECK(host.open == 20);
}

TEST_CASE("work for an idle session on another shard goes there instead of a new connection") {
    SenderWorld world(2);
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.hand_over({}, 0);
    world.settle();
    world.hand_over({}, 1);
    world.settle();
    const FakeHost& host = world.host("192.0.2.1:25");
    CHECK(host.deliveries.size() == 2);
    CHECK(host.connects == 1);
}

TEST_CASE("a server that refuses EHLO with 5xx is greeted with HELO; 4xx and 421 go to the next host", "[C5321-2]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1", "20 b.mx 192.0.2.2"});
    FakeHost& first = world.host("192.0.2.1:25");
    std::string reply;
    SECTION("500") { reply = "500 what?\r\n"; }
    SECTION("502") { reply = "502 5.5.1 not here\r\n"; }
    SECTION("450") { reply = "450 later\r\n"; }
    SECTION("421") { reply = "421 shutting down\r\n"; }
    first.on_command = [&reply](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("EHLO")) return reply;
        return {};
    };
    world.start();
    world.accept({});
    const bool goes_on = reply.starts_with("50");
    CHECK(first.deliveries.size() == (goes_on ? 1 : 0));
    CHECK(world.host("192.0.2.2:25").deliveries.size() == (goes_on ? 0 : 1));
    const auto& commands = first.peers[0]->commands;
    CHECK(std::count(commands.begin(), commands.end(), "HELO v1.test") == (goes_on ? 1 : 0));
    CHECK(world.count(EventType::Deferred) == 0);
}

TEST_CASE("each source address says the name that is its own", "[C5321-2]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    config::VirtualMta& identity = world.add_virtual_mta("v2", {"192.0.2.21", "192.0.2.22"});
    identity.ehlo_names = {{IpAddress::parse("192.0.2.22").value(), "mx22.from.test"}};
    world.shaping().max_messages_per_connection = 1;
    world.start();
    for (int i = 0; i < 4; ++i) world.accept({.virtual_mta = "v2"});
    const FakeHost& host = world.host("192.0.2.1:25");
    REQUIRE(host.peers.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(host.peers[i]->helo == (host.sources[i] == "192.0.2.22" ? "mx22.from.test" : "v2.test"));
    }
}

TEST_CASE("a connection is used again only as often as is allowed, by us, by the server, or by what we learned",
          "[C5321-10]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 1;
    FakeHost& host = world.host("192.0.2.1:25");
    SECTION("by our setting") { world.shaping().max_messages_per_connection = 2; }
    SECTION("by LIMITS MAILMAX") { host.ehlo = "250-mx\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=2\r\n"; }
    world.start();
    for (int i = 0; i < 6; ++i) world.hand_over({.to = {"r" + std::to_string(i) + "@x.test"}});
    world.settle();
    world.advance(1s);
    CHECK(host.deliveries.size() == 6);
    CHECK(host.connects == 3);
    for (const Delivery& delivery : host.deliveries) CHECK(delivery.to.size() == 1);
}

TEST_CASE("a provider's queue with a host for each of many domains serves them all over a few connections", "[P5]") {
    SenderWorld world;
    config::Provider provider{.name = "big"};
    const auto name_of = [](int n) { return "d" + std::to_string(n) + ".test"; };
    const auto address_of = [](int n) { return "192.0.3." + std::to_string(n); };
    constexpr int kDomains = 100;
    for (int n = 1; n <= kDomains; ++n) {
        provider.domains.push_back(name_of(n));
        world.resolver.set_mx(name_of(n), {"10 mx" + std::to_string(n) + ".test " + address_of(n)});
    }
    provider.domains.push_back("null.test");
    world.resolver.fail("null.test", MxAnswer::Kind::NullMx, "");
    world.config.providers["big"] = provider;
    world.shaping().max_connections = 3;
    world.host(address_of(7) + ":25").refuses = kRefused;
    world.start();
    world.pause({.queue = "big/v1"});
    for (int n = 1; n <= kDomains; ++n) world.accept({.to = {"a@" + name_of(n)}});
    world.resume({.queue = "big/v1"});
    // While all connections are taken, more comes: for hosts that wait for one, and for nobody.
    for (int n = 1; n <= kDomains; ++n) world.hand_over({.to = {"b@" + name_of(n)}});
    world.hand_over({.to = {"c@null.test"}});
    world.settle();
    CHECK(world.count(EventType::Bounced) == 1);
    world.host(address_of(7) + ":25").refuses.reset();
    world.advance(5min);
    for (int n = 1; n <= kDomains; ++n) CHECK(world.host(address_of(n) + ":25").deliveries.size() == 2);
    CHECK(world.count(EventType::Delivered) == 2 * kDomains);
    CHECK(world.queue("big/v1").ready == 0);
}
