// Mail that leaves its virtual MTA: rerouted in backoff, above a warm-up limit, chosen again by its pool.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

// v1, v2, v3 with sources 192.0.2.10, .22 and .33, in the pool "p"; x.test is at 192.0.2.1.
struct Identities {
    Identities() {
        world.add_virtual_mta("v2", {"192.0.2.22"});
        world.add_virtual_mta("v3", {"192.0.2.33"});
        auto& pool = world.config.pools["p"];
        pool.name = "p";
        pool.members = {{"v1", 1}, {"v2", 1}};
        world.route("x.test", "192.0.2.1:25");
    }
    config::ShapingKeys& rule(const std::string& virtual_mta) {
        config::ShapingRule rule;
        rule.match.virtual_mta = virtual_mta;
        world.config.shaping.push_back(rule);
        return world.config.shaping.back().keys;
    }
    void send(int count, const std::string& virtual_mta = "v1", const std::string& pool = "p") {
        for (int i = 0; i < count; ++i) world.hand_over({.virtual_mta = virtual_mta, .pool = pool});
        world.settle();
    }
    void set_backoff(const std::string& virtual_mta, bool on) {
        using Mode = SenderControl::QueueModeOrder;
        const auto changed = world.ask<Result<std::uint64_t>>([&](auto done) {
            world.sender->control().set_mode({.queue = "x.test/" + virtual_mta}, on ? Mode::Backoff : Mode::Normal,
                                             "olaf", "", std::move(done));
        });
        REQUIRE(changed);
        world.settle();
    }
    std::map<std::string, int> delivered_by() {
        std::map<std::string, int> by;
        for (const Event& event : world.events(EventType::Delivered)) ++by[event.virtual_mta];
        return by;
    }
    SenderWorld world;
};

using By = std::map<std::string, int>;

}  // namespace

TEST_CASE("mail of a queue in backoff goes by another virtual MTA, if it says so, and comes back with normal mode") {
    Identities ids;
    ids.rule("v1").backoff_reroute_to = config::VirtualMtaName{"v3"};
    ids.world.start();
    ids.send(1);
    ids.set_backoff("v1", true);
    ids.send(5);
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 1}, {"v3", 5}});
    ids.set_backoff("v1", false);
    ids.send(2);
    CHECK(ids.delivered_by() == By{{"v1", 3}, {"v3", 5}});
}

TEST_CASE("rerouted mail is known by its new virtual MTA after a restart") {
    Identities ids;
    ids.rule("v1").backoff_reroute_to = config::VirtualMtaName{"v3"};
    ids.world.start();
    ids.send(1);
    ids.set_backoff("v1", true);
    ids.world.pause({.virtual_mta = "v3"});
    ids.send(2);
    CHECK(ids.world.queue("x.test/v3").ready == 2);
    ids.world.stop();
    ids.world.spool.restart();
    ids.world.start();
    ids.world.settle();
    CHECK(ids.world.queue("x.test/v3").ready == 2);
    ids.world.resume({.virtual_mta = "v3"});
    ids.world.advance(1s);
    CHECK(ids.delivered_by()["v3"] == 2);
}

TEST_CASE("reroutes are followed as long as they lead into backoff, and end where they would go round") {
    Identities ids;
    ids.rule("v1").backoff_reroute_to = config::VirtualMtaName{"v2"};
    ids.rule("v2").backoff_reroute_to = config::VirtualMtaName{"v3"};
    ids.world.start();
    for (const char* each : {"v1", "v2", "v3"}) ids.send(1, each);
    ids.set_backoff("v2", true);
    ids.set_backoff("v1", true);
    ids.send(4);
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 1}, {"v2", 1}, {"v3", 5}});

    SECTION("v3 leads back to v1: mail stays, and goes by the careful rules") {
        ids.rule("v3").backoff_reroute_to = config::VirtualMtaName{"v1"};
        ids.world.reload();
        ids.set_backoff("v3", true);
        ids.send(2);
        ids.world.advance(1min);
        CHECK(ids.delivered_by() == By{{"v1", 3}, {"v2", 1}, {"v3", 5}});
    }
}

TEST_CASE(
    "mail whose queues go in and out of backoff in turn never circles: it is rerouted a bounded number of times") {
    Identities ids;
    ids.rule("v1").backoff_reroute_to = config::VirtualMtaName{"v2"};
    ids.rule("v2").backoff_reroute_to = config::VirtualMtaName{"v1"};
    ids.world.shaping().max_message_rate = config::Rate{1, std::chrono::hours(24)};
    ids.world.shaping().expire_after = Duration(96h);
    ids.world.start();
    for (const char* each : {"v1", "v2"}) ids.send(1, each, "");
    ids.world.advance(1s);
    REQUIRE(ids.delivered_by() == By{{"v1", 1}, {"v2", 1}});
    ids.send(1, "v1", "");
    int moves = 0;
    std::string at = "v1";
    for (int round = 0; round < 20; ++round) {
        const std::string other = at == "v1" ? "v2" : "v1";
        ids.set_backoff(other, false);
        ids.set_backoff(at, true);
        ids.world.advance(30s);
        if (ids.world.queue("x.test/" + other).ready == 0) continue;
        ++moves;
        at = other;
    }
    CHECK(moves == 8);
    CHECK(ids.world.queue("x.test/" + at).ready == 1);
    ids.world.advance(48h);
    CHECK(ids.world.count(EventType::Delivered) == 3);
}

TEST_CASE("a pool that mail is rerouted to gives each a member that is not in the way") {
    Identities ids;
    ids.rule("v1").backoff_reroute_to = config::VirtualMtaName{"p"};
    ids.world.start();
    ids.send(1);
    ids.set_backoff("v1", true);
    ids.send(6);
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 1}, {"v2", 6}});
}

TEST_CASE("rechoose decides whether deferred mail gets another virtual MTA of its pool") {
    Identities ids;
    ids.world.host("192.0.2.1:25").on_command = [n = 0](Peer&, const std::string& command) mutable {
        return command.starts_with("RCPT") && n++ == 0 ? std::optional<std::string>("451 4.7.1 greylisted\r\n")
                                                       : std::nullopt;
    };
    const auto [rechoose, backoff, by] = GENERATE(table<config::Rechoose, bool, std::string>({
        {config::Rechoose::Never, true, "v1"},
        {config::Rechoose::OnBackoff, false, "v1"},
        {config::Rechoose::OnBackoff, true, "v2"},
        {config::Rechoose::EveryAttempt, false, "v2"},
    }));
    ids.world.config.pools["p"].rechoose = rechoose;
    ids.world.shaping().backoff_retry_after = std::vector<Duration>{10s};
    ids.world.start();
    ids.world.pause({.virtual_mta = "v1"});
    ids.send(1);
    if (backoff) ids.set_backoff("v1", true);
    ids.world.resume({.virtual_mta = "v1"});
    ids.world.advance(1s);
    CHECK(ids.world.count(EventType::Deferred) == 1);
    ids.world.advance(30s);
    CHECK(ids.delivered_by() == By{{by, 1}});
}

TEST_CASE("mail does not move to a virtual MTA that another sender of the cluster has", "[P7]") {
    Identities ids;
    ids.world.own_name = "sender-0";
    ids.world.config.virtual_mtas.at("v2").sender = ids.world.config.virtual_mtas.at("v3").sender = "sender-1";
    ids.world.config.pools["p"].rechoose = config::Rechoose::EveryAttempt;
    ids.rule("v1").backoff_reroute_to = config::VirtualMtaName{GENERATE(as<std::string>(), "v3", "p", "")};
    ids.world.shaping().backoff_retry_after = std::vector<Duration>{10s};
    ids.world.host("192.0.2.1:25").on_command = [n = 0](Peer&, const std::string& command) mutable {
        return command.starts_with("RCPT") && n++ == 0 ? std::optional<std::string>("451 4.7.1 greylisted\r\n")
                                                       : std::nullopt;
    };
    ids.world.start();
    ids.send(1);
    ids.set_backoff("v1", true);
    ids.send(2);
    ids.world.must_give({.action = OrderAction::Move, .which = {.virtual_mta = "v1"}, .text = "v2", .who = "olaf"});
    ids.world.advance(2min);
    CHECK(ids.world.count(EventType::Deferred) >= 1);
    CHECK(ids.delivered_by() == By{{"v1", 3}});
}

TEST_CASE("a virtual MTA that warms up takes its share of the day, and the rest goes by the others of the pool") {
    Identities ids;
    ids.rule("v1").warm_up = config::CountList{{2, 5}};
    ids.world.start();
    ids.send(10);
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 2}, {"v2", 8}});
    CHECK(ids.world.queue("x.test/v1").warm_up == "day 1: 2 of 2");
    ids.world.advance(24h);
    ids.send(10);
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 7}, {"v2", 13}});
    ids.world.advance(72h);  // days without mail do not count, and the last entry repeats
    ids.send(10);
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 12}, {"v2", 18}});
    CHECK(ids.world.queue("x.test/v1").warm_up_day == 3);
}

TEST_CASE("above the warm-up limit, mail of no pool waits for the next day") {
    Identities ids;
    ids.rule("v1").warm_up = config::CountList{{3}};
    ids.world.shaping().expire_after = Duration(96h);
    ids.world.start();
    ids.send(5, "v1", "");
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 3}});
    ids.world.advance(24h);
    CHECK(ids.delivered_by() == By{{"v1", 5}});
    CHECK(ids.world.count(EventType::Deferred) == 0);
}

TEST_CASE("nothing goes before it is durable that it counts towards the warm-up day", "[P7]") {
    Identities ids;
    ids.rule("v1").warm_up = config::CountList{{100}};
    ids.world.start();
    const WallTime now = ids.world.executors[0]->wall_now();
    Mail mail{.virtual_mta = "v1"};
    mail.windows = {{now + 10s, now + 1h}};
    for (int i = 0; i < 12; ++i) ids.world.hand_over(mail);
    ids.world.advance(5s);
    ids.world.spool.hold();
    ids.world.advance(10s);
    CHECK(ids.world.host("192.0.2.1:25").deliveries.empty());
    CHECK(ids.world.queue("x.test/v1").ready + ids.world.queue("x.test/v1").in_flight == 12);
    ids.world.spool.release();
    ids.world.advance(1s);
    CHECK(ids.world.host("192.0.2.1:25").recipients_seen.size() == 12);
}

TEST_CASE("a warm-up count that could not be written is written again, and mail goes then") {
    Identities ids;
    ids.rule("v1").warm_up = config::CountList{{100}};
    ids.world.start();
    const WallTime now = ids.world.executors[0]->wall_now();
    Mail mail;
    mail.windows = {{now + 10s, now + 1h}};
    ids.world.hand_over(mail);
    ids.world.advance(5s);
    ids.world.spool.fail_next_commits(1, {ErrorKind::Unavailable, "busy"});
    ids.world.advance(5500ms);
    CHECK(ids.world.host("192.0.2.1:25").deliveries.empty());
    ids.world.advance(2s);
    CHECK(ids.world.host("192.0.2.1:25").deliveries.size() == 1);
}

TEST_CASE("what was sent of a warm-up day is known after a restart") {
    Identities ids;
    ids.rule("v1").warm_up = config::CountList{{4}};
    ids.world.start();
    ids.send(4);
    ids.world.advance(1s);
    ids.world.stop();
    ids.world.spool.restart();
    ids.world.start();
    ids.send(4);
    ids.world.advance(1s);
    CHECK(ids.delivered_by()["v1"] == 4);
    CHECK(ids.delivered_by()["v2"] == 4);
}

TEST_CASE("recipients of one message count one by one towards the warm-up limit") {
    Identities ids;
    ids.rule("v1").warm_up = config::CountList{{2}};
    ids.world.start();
    ids.world.accept({.to = {"a@x.test", "b@x.test", "c@x.test", "d@x.test"}, .virtual_mta = "v1", .pool = "p"});
    ids.world.advance(1s);
    CHECK(ids.delivered_by() == By{{"v1", 2}, {"v2", 2}});
}
