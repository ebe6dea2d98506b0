#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

TEST_CASE("a message that was handed over is delivered, told, and gone from the spool") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:2526");
    world.start();
    world.accept({});
    const FakeHost& host = world.host("192.0.2.1:2526");
    REQUIRE(host.deliveries.size() == 1);
    CHECK(host.deliveries[0].from == "sender@from.test");
    CHECK(host.deliveries[0].to == std::vector<std::string>{"a@x.test"});
    CHECK(host.deliveries[0].content == "Received: from test\r\nSubject: hi\r\n\r\nhello\r\n");
    CHECK(host.sources == std::vector<std::string>{"192.0.2.10"});
    CHECK(host.peers[0]->helo == "v1.test");

    REQUIRE(world.count(EventType::Delivered) == 1);
    const Event event = world.events(EventType::Delivered)[0];
    CHECK(event.recipient == "a@x.test");
    CHECK(event.queue == "x.test/v1");
    CHECK(event.attempt == 1);
    CHECK(event.delivery->mx_address == "192.0.2.1:2526");
    CHECK(event.delivery->source_address == "192.0.2.10");
    CHECK(event.delivery->reply == Reply{250, {2, 0, 0}, "queued"});
    CHECK(world.count(EventType::Accepted) == 1);
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("mail that needs SMTPUTF8 is sent with it, and bounces as 5.6.7 where it is not offered", "[X6531]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:2526");
    world.route("y.test", "192.0.2.2:2526");
    world.start();
    world.host("192.0.2.2:2526").ehlo = "250-mx.test\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n";
    world.accept({.to = {"\xc3\xa4@x.test"}});
    world.accept({.to = {"\xc3\xa4@y.test"}});
    REQUIRE(world.count(EventType::Bounced) == 1);
    const Event bounced = world.events(EventType::Bounced)[0];
    CHECK(bounced.recipient == "\xc3\xa4@x.test");
    CHECK(bounced.delivery->reply.enhanced.to_string() == "5.6.7");
    CHECK(world.host("192.0.2.1:2526").deliveries.empty());
    REQUIRE(world.count(EventType::Delivered) == 1);
    CHECK(world.host("192.0.2.2:2526").peers.at(0)->commands.at(1) == "MAIL FROM:<sender@from.test> SMTPUTF8");
    CHECK(world.spool.tasks().empty());
}
