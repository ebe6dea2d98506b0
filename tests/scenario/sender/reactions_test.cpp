// What reply patterns do besides backoff: other hosts, whole queues, single recipients, source addresses.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kMx = "192.0.2.1:25";
constexpr const char* kOther = "192.0.2.2:25";

config::ReplyRule& add_rule(SenderWorld& world, std::string reply, std::vector<config::ReplyAction> actions) {
    config::ReplyRule& rule = world.config.reply_patterns.emplace_back();
    rule.reply = std::move(reply);
    rule.actions = std::move(actions);
    rule.origin = {"mta.yaml", 7, 5};
    return rule;
}

void answer(FakeHost& host, std::string to, std::string reply) {
    host.on_command = [to, reply](Peer&, const std::string& command) -> std::optional<std::string> {
        return command.starts_with(to) ? std::optional(reply) : std::nullopt;
    };
}

}  // namespace

TEST_CASE("skip-mx: another host gets the mail, even after a 5xx; when all refuse it waits") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.config.routes["x.test"].push_back({"192.0.2.2", 25});
    add_rule(world, "wrong host", {config::ReplyAction::SkipMx});
    answer(world.host(kMx), "MAIL", "550 5.7.1 wrong host\r\n");
    world.start();
    world.accept({});
    CHECK(world.host(kOther).deliveries.size() == 1);
    CHECK(world.count(EventType::Bounced) == 0);
    CHECK(world.count(EventType::Deferred) == 0);

    answer(world.host(kOther), "MAIL", "550 5.7.1 wrong host\r\n");
    world.accept({.to = {"b@x.test"}});
    CHECK(world.count(EventType::Deferred) == 1);
    CHECK(world.host(kMx).connects + world.host(kOther).connects <= 6);  // no going round in circles
}

TEST_CASE("bounce-queue: everything that waits in the queue comes back with the reply") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.route("y.test", kOther);
    world.shaping().max_connections = 1;
    add_rule(world, "never again", {config::ReplyAction::BounceQueue});
    answer(world.host(kMx), "MAIL", "421 4.7.1 never again\r\n");
    answer(world.host(kOther), "MAIL", "451 later\r\n");
    world.start();
    world.pause({.everything = true});
    for (int i = 0; i < 5; ++i) world.accept({.to = {"n" + std::to_string(i) + "@x.test"}});
    world.accept({.to = {"a@y.test"}});
    world.resume({.everything = true});
    world.settle();
    world.advance(1s);
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 5);
    for (const Event& event : bounced) CHECK(event.delivery->reply.text == "never again");
    CHECK(world.host(kMx).recipients_seen.size() <= 2);
    CHECK(world.count(EventType::Cancelled) == 0);
}

TEST_CASE("bounce-rcpt: a 4xx to RCPT is final; the same words elsewhere are not") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.route("y.test", kOther);
    add_rule(world, "over quota", {config::ReplyAction::BounceRecipient});
    answer(world.host(kMx), "RCPT", "452 4.2.2 over quota\r\n");
    answer(world.host(kOther), ".", "452 4.2.2 over quota\r\n");
    world.start();
    world.accept({.to = {"a@x.test", "a@y.test"}});
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 1);
    CHECK(bounced[0].recipient == "a@x.test");
    CHECK(bounced[0].bounce->category == "quota-issues");
    CHECK(world.events(EventType::Deferred).at(0).recipient == "a@y.test");
}

TEST_CASE("defer-rcpt: a 5xx that is meant for a time is tried again, after the pattern's own wait") {
    SenderWorld world;
    world.route("x.test", kMx);
    add_rule(world, "frequency limited", {config::ReplyAction::DeferRecipient}).retry_after = 15min;
    answer(world.host(kMx), ".", "550 Sender frequency limited\r\n");
    world.start();
    world.accept({});
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(*deferred[0].next_attempt_at - deferred[0].time == 15min);
    world.host(kMx).on_command = nullptr;
    world.advance(14min);
    CHECK(world.host(kMx).deliveries.empty());
    world.advance(61s);
    CHECK(world.host(kMx).deliveries.size() == 1);
}

TEST_CASE("defer-queue: the whole queue waits for its retry, and says why") {
    SenderWorld world;
    world.route("x.test", kMx);
    add_rule(world, "maintenance", {config::ReplyAction::DeferQueue});
    answer(world.host(kMx), "RCPT", "451 maintenance\r\n");
    world.start();
    world.accept({});
    world.host(kMx).on_command = nullptr;
    world.accept({.to = {"b@x.test"}});
    world.advance(9s);
    CHECK(world.host(kMx).deliveries.empty());
    CHECK(world.queue("x.test/v1").hold_reason == "deferred: 451 maintenance; mta.yaml:7 (maintenance)");
    world.advance(2s);
    CHECK(world.host(kMx).deliveries.size() == 2);
    CHECK(world.queue("x.test/v1").hold_reason.empty());
}

TEST_CASE("disable-source: the queue stops using the address; another queue does not") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.route("y.test", kOther);
    add_rule(world, "banned", {config::ReplyAction::DisableSource}).reenable_after = 10min;
    world.shaping().retry_after = std::vector<Duration>{1s};
    answer(world.host(kMx), "MAIL", "451 4.7.1 your address is banned\r\n");
    world.start();
    world.accept({});
    REQUIRE(world.count(EventType::VirtualMtaDisabled) == 1);
    world.host(kMx).on_command = nullptr;
    for (int i = 0; i < 8; ++i) world.advance(1min);
    CHECK(world.host(kMx).deliveries.empty());
    CHECK(world.queue("x.test/v1").hold_reason.find("is disabled here: 451 4.7.1 your address is banned") !=
          std::string::npos);
    world.accept({.to = {"a@y.test"}});
    CHECK(world.host(kOther).deliveries.size() == 1);
    for (int i = 0; i < 3; ++i) world.advance(1min);
    CHECK(world.host(kMx).deliveries.size() == 1);
}

TEST_CASE("patterns hold where they say: site, phase, tenant") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.route("y.test", kOther);
    config::ReplyRule& rule = add_rule(world, "no", {config::ReplyAction::DeferRecipient});
    rule.site = "x.test";
    rule.phases = {SmtpPhase::Rcpt};
    rule.tenant = "acme";
    answer(world.host(kMx), "RCPT", "550 no\r\n");
    answer(world.host(kOther), "RCPT", "550 no\r\n");
    world.start();
    world.accept({.tenant = "acme"});
    CHECK(world.count(EventType::Deferred) == 1);
    world.accept({.to = {"b@x.test"}});
    CHECK(world.count(EventType::Bounced) == 1);
    world.accept({.to = {"a@y.test"}, .tenant = "acme"});
    CHECK(world.count(EventType::Bounced) == 2);
    answer(world.host(kMx), "MAIL", "550 no\r\n");
    world.accept({.to = {"c@x.test"}, .tenant = "acme"});
    CHECK(world.count(EventType::Bounced) == 3);
}

TEST_CASE("a greeting that refuses counts for patterns, too") {
    SenderWorld world;
    world.route("x.test", kMx);
    add_rule(world, "too many", {config::ReplyAction::Backoff});
    world.host(kMx).greeting = "421 too many connections\r\n";
    world.start();
    world.accept({});
    CHECK(world.queue("x.test/v1").backoff_since);
}

TEST_CASE("a forced reply answers all mail of a queue; no server is asked") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.route("y.test", kOther);
    world.config.shaping.push_back({{.site = "x.test"}, {}, {}});
    world.config.shaping.back().keys.forced_reply = "550 5.7.1 we do not write to x.test";
    world.config.shaping.push_back({{.site = "y.test"}, {}, {}});
    world.config.shaping.back().keys.forced_reply = "451 4.3.0 not this week";
    world.start();
    world.accept({.to = {"a@x.test", "a@y.test"}});
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 1);
    CHECK(bounced[0].delivery->reply.to_string() == "550 5.7.1 we do not write to x.test");
    CHECK(world.events(EventType::Deferred).at(0).delivery->reply.code == 451);
    CHECK(world.host(kMx).connects == 0);
    CHECK(world.host(kOther).connects == 0);
}
