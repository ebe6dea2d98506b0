// Backoff mode: how a queue enters it, what holds there, and how it leaves.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kMx = "192.0.2.1:25";

void answer_data_with(FakeHost& host, std::optional<std::string> reply) {
    host.on_command = [reply](Peer&, const std::string& command) -> std::optional<std::string> {
        return command == "." ? reply : std::nullopt;
    };
}

// A server that says 4.7.28, a pattern that answers with backoff, and careful rules.
void set_up(SenderWorld& world) {
    world.route("x.test", kMx);
    config::ReplyRule rule;
    rule.reply = "4\\.7\\.28";
    rule.actions = {config::ReplyAction::Backoff};
    rule.origin = {"mta.yaml", 7, 5};
    world.config.reply_patterns.push_back(rule);
    world.shaping().backoff_max_connections = 1;
    world.shaping().backoff_max_message_rate = config::Rate{1, 1min};
    world.shaping().backoff_retry_after = std::vector<Duration>{5min};
    world.shaping().backoff_leave_after = config::DurationOrNever{2h};
    answer_data_with(world.host(kMx), "421 4.7.28 unusual rate\r\n");
}

std::uint64_t set_mode(SenderWorld& world, SenderControl::QueueModeOrder mode, MailSelector which) {
    return world
        .ask<Result<std::uint64_t>>([&](auto done) {
            world.sender->control().set_mode(std::move(which), mode, "op", "calm down", std::move(done));
        })
        .value();
}

}  // namespace

TEST_CASE("a reply pattern puts the queue into backoff, with an event, and its careful rules hold") {
    SenderWorld world;
    set_up(world);
    world.start();
    world.accept({});
    const QueueStatus queue = world.queue("x.test/v1");
    REQUIRE(queue.backoff_since);
    REQUIRE(queue.backoff_until);
    CHECK(*queue.backoff_until - *queue.backoff_since == 2h);
    CHECK(queue.backoff_reason == "421 4.7.28 unusual rate; mta.yaml:7 (4\\.7\\.28)");
    const auto entered = world.events(EventType::QueueBackoffEntered);
    REQUIRE(entered.size() == 1);
    CHECK(entered[0].queue == "x.test/v1");

    // Two recipients a second would go before; now one a minute does, over one connection.
    answer_data_with(world.host(kMx), std::nullopt);
    world.host(kMx).recipients_seen.clear();
    for (int i = 0; i < 4; ++i) world.accept({.to = {"n" + std::to_string(i) + "@x.test"}});
    for (int i = 0; i < 50; ++i) world.advance(5s);
    const auto& seen = world.host(kMx).recipients_seen;
    REQUIRE(seen.size() >= 4);
    for (std::size_t i = 1; i < seen.size(); ++i) CHECK(seen[i].first - seen[i - 1].first >= 1min);
    CHECK(world.host(kMx).most_open == 1);
}

TEST_CASE("in backoff a deferred recipient waits by the backoff's retry_after") {
    SenderWorld world;
    set_up(world);
    world.start();
    world.accept({});
    world.accept({.to = {"b@x.test"}});
    world.advance(1min);
    world.advance(10s);
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() >= 2);
    CHECK(*deferred.back().next_attempt_at - deferred.back().time >= 5min);
}

TEST_CASE("backoff ends after its time, even with an empty queue, with an event") {
    SenderWorld world;
    set_up(world);
    world.start();
    world.accept({});
    answer_data_with(world.host(kMx), std::nullopt);
    for (int i = 0; i < 119; ++i) world.advance(1min);
    CHECK(world.queue("x.test/v1").backoff_since);
    CHECK(world.count(EventType::QueueBackoffLeft) == 0);
    for (int i = 0; i < 7; ++i) world.advance(1min);
    CHECK_FALSE(world.queue("x.test/v1").backoff_since);
    const auto left = world.events(EventType::QueueBackoffLeft);
    REQUIRE(left.size() == 1);
    CHECK(left[0].reason == "leave_after");
}

TEST_CASE("backoff ends with the first delivery where that is configured") {
    SenderWorld world;
    set_up(world);
    world.shaping().backoff_leave_on_delivery = true;
    world.start();
    world.accept({});
    REQUIRE(world.queue("x.test/v1").backoff_since);
    answer_data_with(world.host(kMx), std::nullopt);
    for (int i = 0; i < 6; ++i) world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK_FALSE(world.queue("x.test/v1").backoff_since);
    CHECK(world.events(EventType::QueueBackoffLeft).at(0).reason == "first delivery");
}

TEST_CASE("a reply pattern for normal ends backoff") {
    SenderWorld world;
    set_up(world);
    config::ReplyRule normal;
    normal.reply = "all is well";
    normal.actions = {config::ReplyAction::Normal};
    world.config.reply_patterns.push_back(normal);
    world.start();
    world.accept({});
    REQUIRE(world.queue("x.test/v1").backoff_since);
    answer_data_with(world.host(kMx), "451 all is well soon\r\n");
    for (int i = 0; i < 6; ++i) world.advance(1min);
    CHECK_FALSE(world.queue("x.test/v1").backoff_since);
}

TEST_CASE("backoff survives a restart, and so does the time when it ends") {
    SenderWorld world;
    set_up(world);
    world.start();
    world.accept({});
    const QueueStatus before = world.queue("x.test/v1");
    REQUIRE(before.backoff_since);
    world.stop();
    world.spool.restart();
    answer_data_with(world.host(kMx), std::nullopt);
    world.start();
    const QueueStatus after = world.queue("x.test/v1");
    CHECK(after.backoff_since == before.backoff_since);
    CHECK(after.backoff_until == before.backoff_until);
    CHECK(after.backoff_reason == before.backoff_reason);
    for (int i = 0; i < 125; ++i) world.advance(1min);
    CHECK_FALSE(world.queue("x.test/v1").backoff_since);
    world.stop();
    world.spool.restart();
    world.start();
    CHECK(world.queues().empty());
}

TEST_CASE("an operator puts queues into backoff and back") {
    SenderWorld world;
    set_up(world);
    answer_data_with(world.host(kMx), std::nullopt);
    world.start();
    world.accept({});
    CHECK(set_mode(world, SenderControl::QueueModeOrder::Backoff, {.queue = "x.test/v1"}) == 1);
    CHECK(world.queue("x.test/v1").backoff_reason == "by op: calm down");
    CHECK(set_mode(world, SenderControl::QueueModeOrder::Normal, {.site = "x.test"}) == 1);
    CHECK_FALSE(world.queue("x.test/v1").backoff_since);
    CHECK(world.count(EventType::QueueBackoffEntered) == 1);
    CHECK(world.count(EventType::QueueBackoffLeft) == 1);
}

TEST_CASE("[F38] a server that takes recipients and refuses at the end, again and again, is not asked in a loop") {
    SenderWorld world;
    world.route("x.test", kMx);
    answer_data_with(world.host(kMx), "452 4.3.1 not now\r\n");
    world.start();
    world.accept({});
    for (int i = 0; i < 30; ++i) world.advance(10s);
    CHECK(world.host(kMx).recipients_seen.size() <= 12);  // at 0, 10 s, then every 30 s
    CHECK(world.count(EventType::Delivered) == 0);
}

TEST_CASE("[F44] greylisted mail comes again from the same source address and is delivered") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.add_virtual_mta("v2", {"192.0.2.21"});
    FakeHost& host = world.host(kMx);
    host.on_command = [n = 0](Peer&, const std::string& command) mutable -> std::optional<std::string> {
        if (command.starts_with("RCPT") && n++ == 0) return "450 4.7.1 Greylisted, please try again later\r\n";
        return {};
    };
    world.start();
    world.accept({});
    CHECK(host.deliveries.empty());
    world.advance(10s);
    REQUIRE(host.deliveries.size() == 1);
    REQUIRE(host.sources.size() >= 1);
    for (const std::string& source : host.sources) CHECK(source.starts_with("192.0.2.10"));
}
