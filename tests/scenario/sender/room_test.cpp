// Idle sessions make room for mail that waits for a connection: at once, and no more of them than needed (P5, P6).

#include <catch2/catch.hpp>
#include <string>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

std::string endpoint(int number) {
    return "192.0.2." + std::to_string(number % 200 + 20) + ":" + std::to_string(25 + number / 200);
}
std::string domain(int number) { return "d" + std::to_string(number) + ".test"; }

// Domains with a host each; an idle connection stays for ten minutes.
class Room {
public:
    explicit Room(int domains, unsigned shards = 1) : world(shards), domains_(domains) {
        for (int i = 1; i <= domains; ++i) world.route(domain(i), endpoint(i));
        world.shaping().idle_timeout = 10min;
    }

    // All of them in one queue.
    config::Provider& provider() {
        auto& big = world.config.providers["big"];
        big.name = "big";
        big.domains.clear();
        for (int i = 1; i <= domains_; ++i) big.domains.push_back(domain(i));
        return big;
    }
    FakeHost& host(int number) { return world.host(endpoint(number)); }
    void send(int number, const std::string& virtual_mta = "v1") {
        ++sent;
        world.hand_over({.to = {"a@" + domain(number)}, .virtual_mta = virtual_mta},
                        static_cast<unsigned>(sent % world.executors.size()));
    }
    void send_and_settle(int number, const std::string& virtual_mta = "v1") {
        send(number, virtual_mta);
        world.settle();
    }
    bool is_all_delivered() { return world.count(EventType::Delivered) == sent; }
    unsigned open() {
        unsigned sum = 0;
        for (int i = 1; i <= domains_; ++i) sum += host(i).open;
        return sum;
    }
    unsigned connects() {
        unsigned sum = 0;
        for (int i = 1; i <= domains_; ++i) sum += host(i).connects;
        return sum;
    }
    unsigned quits() {
        unsigned sum = 0;
        for (int i = 1; i <= domains_; ++i) {
            for (const auto& peer : host(i).peers) sum += !peer->commands.empty() && peer->commands.back() == "QUIT";
        }
        return sum;
    }
    // Hosts that answer this command after a while, or (0) never.
    void answer_late(const std::string& to, Duration after) {
        for (int i = 1; i <= domains_; ++i) {
            host(i).keeps_open_after_quit = to == "QUIT";
            host(i).on_command = [this, to, after](Peer& peer,
                                                   const std::string& command) -> std::optional<std::string> {
                if (!command.starts_with(to)) return {};
                ManualExecutor& clock = *world.executors[0];
                if (after > Duration::zero()) {
                    clock.schedule_at(clock.now() + after, [&peer, is_quit = to == "QUIT"] {
                        peer.say("250 2.0.0 ok\r\n");
                        if (is_quit) peer.hang_up();
                    });
                }
                return "";
            };
        }
    }

    SenderWorld world;
    std::size_t sent = 0;

private:
    const int domains_;
};

}  // namespace

TEST_CASE("idle sessions of other hosts of the queue make room, at once", "[P5]") {
    Room room(3);
    room.provider();
    room.world.shaping().max_connections = 2;
    room.world.start();
    room.send_and_settle(1);
    room.send_and_settle(2);
    CHECK(room.open() == 2);
    room.send_and_settle(3);
    CHECK(room.is_all_delivered());
    CHECK(room.open() == 2);
    CHECK(room.quits() == 1);
    CHECK(room.host(1).open == 0);  // the one that was idle for longer
}

TEST_CASE("a hundred hosts in one queue share twenty connections, whoever was there first", "[P5]") {
    const unsigned shards = GENERATE(1u, 2u);
    Room room(300, shards);
    room.provider();
    room.world.shaping().max_connections = 20;
    room.world.start();
    for (int round = 0; round < 3; ++round) {
        for (int i = 1; i <= 300; ++i) room.send(i);
        room.world.settle();
        REQUIRE(room.is_all_delivered());
        CHECK(room.open() == 20);
        room.world.advance(1min);  // all of them idle
    }
}

TEST_CASE("no more idle sessions go than there are hosts that need a connection") {
    Room room(8);
    room.provider();
    room.world.shaping().max_connections = 5;
    room.answer_late("QUIT", 1s);
    room.world.start();
    for (int i = 1; i <= 5; ++i) room.send_and_settle(i);
    for (int n = 0; n < 4; ++n) room.send_and_settle(6);
    CHECK(room.quits() == 1);
    CHECK(room.world.queue("big/v1").hold_reason == "connection limit");
    for (int n = 0; n < 4; ++n) room.send_and_settle(7);
    CHECK(room.quits() == 2);
    room.world.advance(2s);
    CHECK(room.is_all_delivered());
    CHECK(room.quits() == 2);
    CHECK(room.open() == 5);
}

TEST_CASE("nobody makes room for mail that a connection would not help") {
    Room room(4);
    room.provider();
    room.world.shaping().max_connections = 3;
    room.world.shaping().retry_after = std::vector<Duration>{1h};
    room.world.start();
    room.host(4).refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    room.send_and_settle(4);
    for (int i = 1; i <= 3; ++i) room.send_and_settle(i);
    CHECK(room.open() == 3);
    room.send_and_settle(4);
    room.send_and_settle(1);
    room.world.advance(900ms);
    CHECK(room.quits() == 0);
    room.world.advance(200ms);  // now it is tried again
    CHECK(room.quits() == 1);
}

TEST_CASE("a host with a backlog gets the connections that others have not used for a while") {
    Room room(4);
    room.provider();
    room.world.shaping().max_connections = 4;
    room.world.start();
    for (int i = 1; i <= 4; ++i) room.send_and_settle(i);
    room.answer_late(".", 100ms);
    for (int n = 0; n < 400; ++n) room.send(1);
    room.world.advance(500ms);
    CHECK(room.open() == 4);
    CHECK(room.host(1).open == 1);
    room.world.advance(4s);
    CHECK(room.host(1).open == 4);
    room.send(2);  // and gives one back
    room.world.advance(300ms);
    CHECK(room.host(2).recipients_seen.size() == 2);
}

TEST_CASE("many hosts that are down do not hide the one that needs a connection", "[P5]") {
    Room room(153);
    room.provider();
    room.world.shaping().max_connections = 2;
    room.world.shaping().retry_after = std::vector<Duration>{1h};
    for (int i = 1; i <= 150; ++i) room.host(i).refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    room.world.start();
    for (int round = 0; round < 2; ++round) {
        for (int i = 1; i <= 150; ++i) room.send_and_settle(i);
    }
    for (int i = 151; i <= 153; ++i) {
        room.send(i);
        room.world.advance(1ms);
        CHECK(room.host(i).deliveries.size() == 1);
    }
    CHECK(room.open() == 2);
}

TEST_CASE("idle sessions of other queues make room where a wider limit is used up, at once", "[P5][P6]") {
    const unsigned shards = GENERATE(1u, 2u);
    Room room(3, shards);
    room.world.add_virtual_mta("v2", {"192.0.2.11"});
    std::string other = "v1";
    std::size_t fill = 2;
    SECTION("the total") { room.world.config.outbound.total.max_connections = 2; }
    SECTION("of a virtual MTA") { room.world.config.virtual_mtas["v1"].limits.max_connections = 2; }
    SECTION("of a provider") {
        room.provider().limits.max_connections = 2;
        other = "v2";
    }
    SECTION("of a source address") { room.world.config.outbound.per_source.max_connections = 2; }
    SECTION("of a server's address") {
        room.world.shaping().per_destination_max_connections = 1;
        room.world.config.routes[domain(3)] = room.world.config.routes[domain(1)];
        fill = 1;
    }
    room.world.start();
    for (std::size_t i = 1; i <= fill; ++i) room.send_and_settle(static_cast<int>(i));
    CHECK(room.open() == fill);
    room.send_and_settle(3, other);
    CHECK(room.is_all_delivered());
    CHECK(room.open() == fill);
    CHECK(room.quits() == 1);
    // Nobody has mail, so nobody takes anything from anybody.
    const unsigned connects = room.connects();
    room.world.advance(5min);
    CHECK(room.connects() == connects);
    CHECK(room.open() == fill);
}

TEST_CASE("idle sessions of a queue make room for another host of it where a wider limit is used up", "[P5]") {
    Room room(3);
    room.provider();
    room.world.config.outbound.total.max_connections = 2;
    room.world.start();
    for (int i = 1; i <= 3; ++i) {
        room.send_and_settle(i);
        CHECK(room.is_all_delivered());
    }
    CHECK(room.open() == 2);
}

TEST_CASE("one session goes for each queue that has none, however many become idle") {
    Room room(8);
    room.world.config.outbound.total.max_connections = 6;
    room.world.shaping().max_connections = 1;
    room.world.start();
    room.answer_late(".", 100ms);
    for (int i = 1; i <= 6; ++i) room.send(i);
    room.world.advance(50ms);
    room.send_and_settle(7);
    room.answer_late("QUIT", 300ms);
    room.world.advance(200ms);
    CHECK(room.world.count(EventType::Delivered) == 6);
    CHECK(room.quits() == 1);
    room.send_and_settle(8);
    CHECK(room.quits() == 2);
    room.world.advance(2s);
    CHECK(room.is_all_delivered());
    CHECK(room.quits() == 2);
}

TEST_CASE("a queue with a backlog gets the connections that other queues have not used for a while") {
    Room room(4);
    room.world.config.outbound.total.max_connections = 4;
    room.world.start();
    for (int i = 1; i <= 4; ++i) room.send_and_settle(i);
    room.answer_late(".", 100ms);
    for (int n = 0; n < 400; ++n) room.send(1);
    room.world.advance(500ms);
    CHECK(room.host(1).open == 1);
    room.world.advance(5s);
    CHECK(room.host(1).open == 4);
    room.send(2);
    room.world.advance(300ms);
    CHECK(room.host(2).recipients_seen.size() == 2);
}

TEST_CASE("a lower max_connections after a reload closes idle sessions, too") {
    Room room(5);
    room.provider();
    room.world.start();
    for (int i = 1; i <= 5; ++i) room.send_and_settle(i);
    CHECK(room.open() == 5);
    room.world.shaping().max_connections = 2;
    room.world.reload();
    CHECK(room.open() == 2);
}
