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
