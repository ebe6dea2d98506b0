// What a host does teaches the connections that come after (PeerMemory).

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

std::ptrdiff_t transactions(const Peer& peer) { return std::count(peer.commands.begin(), peer.commands.end(), "."); }

bool waited_for_each_reply(const Peer& peer) { return peer.most_pipelined <= 1; }

}  // namespace

TEST_CASE("20 messages, then a silent close: learned, and nobody pays for it", "[F43]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 1;
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (!command.starts_with("MAIL") || transactions(peer) < 20) return {};
        peer.hang_up();
        return "";
    };
    world.start();
    for (int i = 0; i < 100; ++i) world.hand_over({});
    world.advance(5s);
    CHECK(world.count(EventType::Delivered) == 100);
    CHECK(world.count(EventType::Deferred) == 0);
    for (const Event& event : world.events(EventType::Delivered)) CHECK(event.attempt == 1);
    REQUIRE(host.peers.size() == 5);
    for (const auto& peer : host.peers) CHECK(transactions(*peer) == 20);
    // Two cuts are the lesson; after that it is us who say goodbye.
    CHECK(host.peers[1]->commands.back().starts_with("DATA"));
    CHECK(host.peers[2]->commands.back() == "QUIT");
    CHECK(host.peers[3]->commands.back() == "QUIT");
}

TEST_CASE("replies that are out of step: sent again at once without pipelining, which is remembered", "[F39]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 1;
    world.shaping().max_messages_per_connection = 2;
    FakeHost& host = world.host("192.0.2.1:25");
    SECTION("one reply to two commands") {
        host.on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
            if (peer.most_pipelined > 1 && command.starts_with("RCPT")) return "";
            if (peer.most_pipelined > 1 && command == "DATA") return "354 go\r\n";
            return {};
        };
    }
    SECTION("two replies to one command") {
        host.on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
            if (command.starts_with("MAIL") && peer.most_pipelined > 1) return "250 ok\r\n250 ok\r\n";
            return {};
        };
    }
    SECTION("garbage when it gets several commands at once") {
        host.on_command = [](Peer& peer, const std::string&) -> std::optional<std::string> {
            if (peer.most_pipelined > 1) return "what?\r\n";
            return {};
        };
    }
    world.start();
    for (int i = 0; i < 4; ++i) world.accept({});
    CHECK(world.count(EventType::Delivered) == 4);
    CHECK(world.count(EventType::Deferred) == 0);
    REQUIRE(host.peers.size() == 3);
    CHECK(transactions(*host.peers[0]) == 0);
    CHECK(waited_for_each_reply(*host.peers[1]));
    CHECK(waited_for_each_reply(*host.peers[2]));
    world.advance(61min);
    host.on_command = {};
    world.accept({});
    CHECK(host.peers.back()->most_pipelined > 1);
}

TEST_CASE("a reply that never comes, with pipelining: no refusal is believed, the next attempt waits for each",
          "[F39]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (peer.most_pipelined > 1 && command.starts_with("RCPT")) return "";
        if (peer.most_pipelined > 1 && command == "DATA") return "554 no valid recipients\r\n";  // looks like RCPT's
        return {};
    };
    world.start();
    world.accept({});
    world.advance(3min);
    CHECK(world.count(EventType::Bounced) == 0);
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->reply.text == "timed out while sending DATA");
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(waited_for_each_reply(*host.peers[1]));
}

TEST_CASE("out of step without pipelining: an attempt, so that nothing spins", "[F39]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("MAIL")) return "354 eh?\r\n";
        return {};
    };
    world.start();
    world.accept({});
    CHECK(host.connects == 2);
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->reply.text == "the server answered MAIL with 3xx");
}

TEST_CASE("half of the MX hosts dead: one time-out each, then the healthy ones come first", "[F45]") {
    SenderWorld world;
    world.add_virtual_mta("v1", {"2001:db8::10"});
    world.config.virtual_mtas["v1"].sources = {IpAddress::parse("192.0.2.10").value(),
                                               IpAddress::parse("2001:db8::10").value()};
    world.resolver.set_mx("x.test", {"10 a.mx 2001:db8::1", "20 b.mx 192.0.2.2", "30 c.mx 192.0.2.3"});
    world.shaping().max_connections = 1;
    world.shaping().max_messages_per_connection = 1;
    FakeHost& first = world.host("[2001:db8::1]:25");
    first.is_black_hole = true;
    FakeHost& second = world.host("192.0.2.2:25");
    second.refuses = CloseReason{CloseReason::Kind::ConnectRefused, "connection refused"};
    world.start();
    world.accept({});
    world.advance(61s);
    CHECK(world.count(EventType::Delivered) == 1);
    for (int i = 0; i < 10; ++i) world.accept({});
    CHECK(world.count(EventType::Delivered) == 11);  // at once
    CHECK(world.count(EventType::Deferred) == 0);
    CHECK(first.connects == 1);
    CHECK(second.connects == 1);
    // After a while the better ones get another chance.
    first.is_black_hole = false;
    world.advance(5min);
    world.accept({});
    CHECK(first.deliveries.size() == 1);
}

TEST_CASE("the search for a host that answers has an end", "[F33]") {
    SenderWorld world;
    std::vector<std::string> hosts;
    for (int i = 1; i <= 6; ++i) {
        hosts.push_back(std::to_string(i * 10) + " mx" + std::to_string(i) + " 192.0.2." + std::to_string(i));
        world.host("192.0.2." + std::to_string(i) + ":25").greeting = "";
    }
    world.resolver.set_mx("x.test", hosts);
    world.shaping().retry_after = std::vector<Duration>{1h};
    world.shaping().expire_after = 24h;
    world.start();
    world.accept({});
    world.advance(16min);  // a greeting may take five minutes, and after ten no further host is begun
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->phase == SmtpPhase::Greeting);
    CHECK(world.host("192.0.2.2:25").connects == 1);
    CHECK(world.host("192.0.2.3:25").connects == 0);
}

TEST_CASE("a greeting after four minutes and fifty seconds is in time, one after six is not", "[F33]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1", "20 b.mx 192.0.2.2"});
    FakeHost& slow = world.host("192.0.2.1:25");
    slow.greeting_after = 4min + 50s;
    SECTION("in time") {
        world.start();
        world.accept({});
        world.advance(5min);
        CHECK(slow.deliveries.size() == 1);
    }
    SECTION("too late: the next host") {
        slow.greeting_after = 6min;
        world.start();
        world.accept({});
        world.advance(5min + 1s);
        CHECK(slow.deliveries.empty());
        CHECK(world.host("192.0.2.2:25").deliveries.size() == 1);
        CHECK(world.count(EventType::Deferred) == 0);
    }
}
