// Limits, measured at the receiving side (P7).

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

// Answers take a while, so that connections pile up if they may.
void make_slow(SenderWorld& world, FakeHost& host, Duration delay) {
    host.on_command = [&world, delay](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command != ".") return {};
        ManualExecutor& clock = *world.executors[0];
        clock.schedule_at(clock.now() + delay, [&peer] { peer.say("250 2.0.0 queued\r\n"); });
        return "";
    };
}

void check_rate(const std::vector<std::pair<SteadyTime, std::string>>& seen, Duration interval) {
    for (std::size_t i = 0; i < seen.size(); ++i) {
        for (std::size_t j = i + 1; j < seen.size(); ++j) {
            const auto allowed = (seen[j].first - seen[i].first) / interval + 1;
            REQUIRE(static_cast<Duration::rep>(j - i + 1) <= allowed);
        }
    }
}

}  // namespace

TEST_CASE("connections never exceed max_connections", "[P7]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 3;
    FakeHost& host = world.host("192.0.2.1:25");
    make_slow(world, host, 100ms);
    world.start();
    for (int i = 0; i < 50; ++i) world.hand_over({});
    world.settle();
    CHECK(host.open == 3);
    CHECK(world.queue("x.test/v1").connections == 3);
    world.advance(10s);
    CHECK(host.most_open == 3);
    CHECK(world.count(EventType::Delivered) == 50);
}

TEST_CASE("a connection counts until its close has completed", "[P7]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 1;
    world.shaping().max_messages_per_connection = 1;
    FakeHost& host = world.host("192.0.2.1:25");
    host.keeps_open_after_quit = true;  // says 221, and then takes its time
    world.start();
    world.hand_over({});
    world.hand_over({});
    world.settle();
    CHECK(host.deliveries.size() == 1);
    CHECK(host.connects == 1);
    world.advance(2s);
    CHECK(host.connects == 1);
    world.advance(2s);  // not for ever
    CHECK(host.deliveries.size() == 2);
    CHECK(host.most_open == 1);
}

TEST_CASE("max_messages_per_connection: then QUIT and a fresh one") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 1;
    world.shaping().max_messages_per_connection = 2;
    world.start();
    for (int i = 0; i < 5; ++i) world.hand_over({});
    world.settle();
    const FakeHost& host = world.host("192.0.2.1:25");
    CHECK(host.deliveries.size() == 5);
    CHECK(host.connects == 3);
    CHECK(host.peers[0]->commands.back() == "QUIT");
    CHECK(host.most_open == 1);
}

TEST_CASE("a message rate is kept from the first message on, without a burst", "[P7]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_message_rate = config::Rate{600, 1min};
    FakeHost& host = world.host("192.0.2.1:25");
    SECTION("fast answers") {}
    SECTION("answers that take longer than the interval") { make_slow(world, host, 350ms); }
    SECTION("without pipelining, and a slow MAIL now and then") {
        world.shaping().pipelining = false;
        host.on_command = [&world, n = 0](Peer& peer,
                                          const std::string& command) mutable -> std::optional<std::string> {
            if (!command.starts_with("MAIL") || ++n % 3 != 0) return {};
            ManualExecutor& clock = *world.executors[0];
            clock.schedule_at(clock.now() + 150ms, [&peer] { peer.say("250 ok\r\n"); });
            return "";
        };
    }
    world.start();
    for (int i = 0; i < 40; ++i) world.hand_over({.to = {"a@x.test", "b@x.test"}});
    world.advance(12s);
    CHECK(world.count(EventType::Delivered) == 80);
    CHECK(host.recipients_seen.size() == 80);
    check_rate(host.recipients_seen, 100ms);
}

TEST_CASE("a slow rate holds no connection open for nothing, and is kept", "[P7]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_message_rate = config::Rate{6, 1min};
    world.start();
    for (int i = 0; i < 5; ++i) world.hand_over({});
    world.advance(7s);
    const FakeHost& host = world.host("192.0.2.1:25");
    CHECK(host.deliveries.size() == 1);
    CHECK(host.open == 0);
    CHECK(world.queue("x.test/v1").hold_reason == "rate limited");
    world.advance(50s);
    CHECK(host.deliveries.size() == 5);
    check_rate(host.recipients_seen, 10s);
}

TEST_CASE("a connect rate is kept", "[P7]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connect_rate = config::Rate{2, 1s};
    world.shaping().max_messages_per_connection = 1;
    world.start();
    for (int i = 0; i < 10; ++i) world.hand_over({});
    world.advance(10s);
    const FakeHost& host = world.host("192.0.2.1:25");
    CHECK(host.deliveries.size() == 10);
    for (std::size_t i = 1; i < host.connect_times.size(); ++i) {
        CHECK(host.connect_times[i] - host.connect_times[i - 1] >= 500ms);
    }
}

TEST_CASE("the limits of a virtual MTA hold over all its queues", "[P7]") {
    SenderWorld world;
    for (int i = 1; i <= 4; ++i) {
        world.route("d" + std::to_string(i) + ".test", "192.0.2.1:" + std::to_string(2500 + i));
    }
    config::VirtualMta& identity = world.config.virtual_mtas["v1"];
    SECTION("connections") {
        identity.limits.max_connections = 2;
        world.start();
        for (int i = 1; i <= 4; ++i) {
            make_slow(world, world.host("192.0.2.1:" + std::to_string(2500 + i)), 50ms);
            for (int n = 0; n < 5; ++n) world.hand_over({.to = {"a@d" + std::to_string(i) + ".test"}});
        }
        for (int step = 0; step < 4000 && world.count(EventType::Delivered) < 20; ++step) {
            world.advance(10ms);
            unsigned open = 0;
            for (int i = 1; i <= 4; ++i) open += world.host("192.0.2.1:" + std::to_string(2500 + i)).open;
            REQUIRE(open <= 2);
        }
        CHECK(world.count(EventType::Delivered) == 20);
    }
    SECTION("messages") {
        identity.limits.max_message_rate = config::Rate{10, 1s};
        world.start();
        for (int i = 1; i <= 4; ++i) {
            for (int n = 0; n < 5; ++n) world.hand_over({.to = {"a@d" + std::to_string(i) + ".test"}});
        }
        world.advance(5s);
        CHECK(world.count(EventType::Delivered) == 20);
        std::vector<std::pair<SteadyTime, std::string>> all;
        for (int i = 1; i <= 4; ++i) {
            const auto& seen = world.host("192.0.2.1:" + std::to_string(2500 + i)).recipients_seen;
            all.insert(all.end(), seen.begin(), seen.end());
        }
        std::sort(all.begin(), all.end());
        check_rate(all, 100ms);
    }
}

TEST_CASE("a lower max_connections after a reload closes what is too many") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    make_slow(world, host, 100ms);
    world.start();
    for (int i = 0; i < 200; ++i) world.hand_over({});
    world.settle();
    CHECK(host.open == 20);
    world.shaping().max_connections = 2;
    world.reload();
    world.advance(300ms);
    CHECK(host.open == 2);
    world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 200);
}

TEST_CASE("the message rate is exact at a host that connects, greets and answers slowly", "[P7]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_message_rate = config::Rate{100, 1min};
    world.shaping().max_connections = 4;
    world.shaping().idle_timeout = 100ms;  // the next permit is further away, so each message opens a connection
    FakeHost& host = world.host("192.0.2.1:25");
    unsigned answered = 0;
    SECTION("connecting") { host.connect_takes = 450ms; }
    SECTION("the greeting") { host.greeting_after = 550ms; }
    SECTION("now and then") {
        host.on_command = [&](Peer&, const std::string& command) -> std::optional<std::string> {
            host.greeting_after = std::chrono::milliseconds(answered++ % 3 * 290);
            static_cast<void>(command);
            return {};
        };
    }
    SECTION("the reply to MAIL, without pipelining") {
        host.ehlo = "250 mx.test\r\n";
        host.on_command = [&](Peer& peer, const std::string& command) -> std::optional<std::string> {
            if (!command.starts_with("MAIL")) return {};
            ManualExecutor& clock = *world.executors[0];
            clock.schedule_at(clock.now() + std::chrono::milliseconds(answered++ % 2 * 400),
                              [&peer] { peer.say("250 ok\r\n"); });
            return "";
        };
    }
    world.start();
    for (int i = 0; i < 12; ++i) world.hand_over({});
    world.advance(30s);
    CHECK(host.recipients_seen.size() == 12);
    check_rate(host.recipients_seen, 600ms);
}
