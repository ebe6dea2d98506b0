// Messages that go out in one write with their envelope (CHUNKING, RFC 3030).
#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

struct World : SenderWorld {
    World() {
        route("x.test", "192.0.2.1:25");
        shaping().max_connections = 1;
        shaping().chunking = true;
        server().ehlo = "250-mx.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n";
    }
    FakeHost& server() { return host("192.0.2.1:25"); }
    std::ptrdiff_t chunks() {
        std::ptrdiff_t n = 0;
        for (const auto& peer : server().peers) {
            n += std::count_if(peer->commands.begin(), peer->commands.end(),
                               [](const std::string& command) { return command.starts_with("BDAT "); });
        }
        return n;
    }
};

const std::string kDots = "Subject: dots\r\n\r\n.\r\n..a\r\n.b\r\n";

}  // namespace

TEST_CASE("after the first message of a connection small ones go in a chunk, octet for octet", "[X3030]") {
    World w;
    w.start();
    w.accept({});
    w.accept({.content = kDots, .has_leading_dots = true});
    w.accept({.content = "Subject: large\r\n\r\n" + std::string(70'000, 'x') + "\r\n"});
    w.accept({.content = "Subject: no line end"});
    REQUIRE(w.server().deliveries.size() == 4);
    CHECK(w.chunks() == 1);
    CHECK(w.server().deliveries[1].content == "Received: from test\r\n" + kDots);
    const auto& commands = w.server().peers[0]->commands;
    CHECK(std::count(commands.begin(), commands.end(), "DATA") == 3);
    CHECK(w.count(EventType::Delivered) == 4);
}

TEST_CASE("chunking: false, or PIPELINING that is not offered, leaves it at DATA", "[X3030]") {
    World w;
    if (GENERATE(true, false)) w.shaping().chunking = false;
    else w.server().ehlo = "250-mx.test\r\n250 CHUNKING\r\n";
    w.start();
    for (int i = 0; i < 3; ++i) w.accept({});
    CHECK(w.chunks() == 0);
    CHECK(w.server().deliveries.size() == 3);
}

TEST_CASE("a chunk that meets a socket of few octets goes out whole", "[X3030]") {
    World w;
    w.server().socket_octets = 100;
    w.start();
    w.accept({});
    const std::string content = "Subject: x\r\n\r\n" + std::string(5'000, 'x') + "\r\n";
    w.accept({.content = content});
    REQUIRE(w.server().deliveries.size() == 2);
    CHECK(w.chunks() == 1);
    CHECK(w.server().deliveries[1].content == "Received: from test\r\n" + content);
}

TEST_CASE("recipients that are refused with a chunk on its way bounce, the others have their mail", "[X3030]") {
    World w;
    w.server().on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT TO:<no")) return "550 5.1.1 who?\r\n";
        return {};
    };
    w.start();
    w.accept({});
    w.accept({.to = {"no1@x.test", "yes@x.test"}});
    CHECK(w.count(EventType::Delivered) == 2);
    CHECK(w.count(EventType::Bounced) == 1);
    w.accept({});  // by DATA, for somebody was refused
    w.accept({.to = {"no2@x.test", "no3@x.test"}});
    CHECK(w.count(EventType::Bounced) == 3);
    w.accept({});
    CHECK(w.count(EventType::Delivered) == 4);
    CHECK(w.server().deliveries.size() == 4);
    CHECK(w.chunks() == 2);
    CHECK(w.server().connects == 1);
}

TEST_CASE("lost behind a chunk: in doubt, told, and sent again", "[X3030][F49]") {
    World w;
    bool has_dropped = false;
    w.server().on_command = [&](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command != "." || w.server().deliveries.size() != 1 || std::exchange(has_dropped, true)) return {};
        peer.reset();
        return "";
    };
    w.start();
    w.accept({});
    w.accept({});
    const auto deferred = w.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->in_doubt);
    CHECK(deferred[0].delivery->phase == SmtpPhase::EndOfData);
    w.advance(11s);
    CHECK(w.count(EventType::Delivered) == 2);
}

TEST_CASE("a server that swallows replies gets no chunk and no pipelining for a while", "[X3030][F39]") {
    World w;
    w.server().on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
        const bool is_chunked = peer.commands.back().starts_with("BDAT") || peer.most_pipelined > 3;
        if (is_chunked && command.starts_with("RCPT") && peer.commands.size() > 6) return "";
        return {};
    };
    w.start();
    w.accept({});
    w.accept({});
    w.advance(10min);
    w.accept({});
    w.advance(1min);
    CHECK(w.count(EventType::Delivered) == 3);
    CHECK(w.count(EventType::Bounced) == 0);
    CHECK(w.chunks() <= 1);
    CHECK(w.server().peers.back()->most_pipelined <= 1);
}
