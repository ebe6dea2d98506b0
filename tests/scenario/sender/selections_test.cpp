// Every selection with every order: it touches what it names, and nothing else.

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "postfleet/base/text.hpp"
#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

void defer_all(FakeHost& host) {
    host.on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT")) return "451 later\r\n";
        return {};
    };
}

// Six recipients that differ in everything that can be selected; each waits for its first retry.
struct Mailroom {
    SenderWorld world;
    MessageId message_of_a;

    explicit Mailroom(unsigned shards = 1) : world(shards) {
        for (const auto& [domain, endpoint] :
             {std::pair{"x.test", "192.0.2.1:25"}, std::pair{"y.test", "192.0.2.2:25"}}) {
            world.route(domain, endpoint);
            defer_all(world.host(endpoint));
        }
        world.add_virtual_mta("v2", {"192.0.2.11"});
        world.add_virtual_mta("v3", {"192.0.2.12"});
        world.config.pools["bulk"].name = "bulk";
        world.config.pools["bulk"].members = {{"v1", 1}, {"v2", 1}};
        world.shaping().retry_after = std::vector<Duration>{1h};
        world.shaping().expire_after = 100h;
        world.start();
        world.accept({.from = "news@shop.test", .to = {"a@x.test", "b@x.test"}, .job = "promo-1"});
        message_of_a = world.spool.tasks().front().key.message;
        world.advance(10min);
        world.accept({.from = "Bills@bank.test", .to = {"C@x.test"}, .virtual_mta = "v2", .pool = "bulk"});
        world.accept({.to = {"d@y.test"}, .tenant = "acme", .job = "promo-2"});
        world.accept({.to = {"e@y.test"}, .virtual_mta = "v2", .pool = "bulk", .tenant = "acme"});
        world.accept({.from = "", .to = {"f@y.test"}});
    }
    void let_go() {
        world.host("192.0.2.1:25").on_command = nullptr;
        world.host("192.0.2.2:25").on_command = nullptr;
    }
    std::string recipients(EventType type) const {
        std::set<char> names;
        for (const Event& event : world.events(type)) names.insert(ascii_lower(event.recipient[0]));
        return {names.begin(), names.end()};
    }
};

struct Case {
    const char* name;
    MailSelector which;
    const char* covers;
};

std::vector<Case> cases() {
    return {
        {"queue", {.queue = "x.test/v1"}, "ab"},
        {"queue with *", {.queue = "*/v2"}, "ce"},
        {"virtual MTA", {.virtual_mta = "v2"}, "ce"},
        {"virtual MTA with *", {.virtual_mta = "v*"}, "abcdef"},
        {"site", {.site = "y.test"}, "def"},
        {"domain", {.domain = "x.test"}, "abc"},
        {"domain with *, upper case", {.domain = "*.TEST"}, "abcdef"},
        {"tenant", {.tenant = "acme"}, "de"},
        {"job", {.job = "promo-1"}, "ab"},
        {"job with *", {.job = "promo-*"}, "abd"},
        {"pool", {.pool = "bulk"}, "ce"},
        {"sender", {.reverse_path = "bills@bank.test"}, "c"},
        {"sender with *", {.reverse_path = "*@shop.test"}, "ab"},
        {"recipient", {.recipient = "c@X.test"}, "c"},
        {"recipient, one of two", {.recipient = "b@x.test"}, "b"},
        {"recipient with *", {.recipient = "*@y.test"}, "def"},
        {"tenant and virtual MTA", {.virtual_mta = "v2", .tenant = "acme"}, "e"},
        {"job and recipient", {.job = "promo-1", .recipient = "a@*"}, "a"},
        {"pool and domain", {.domain = "y.test", .pool = "bulk"}, "e"},
        {"everything", {.everything = true}, "abcdef"},
        {"nothing that is there", {.job = "other"}, ""},
    };
}

std::string others(const std::string& covered) {
    std::string rest;
    for (const char name : std::string("abcdef")) {
        if (covered.find(name) == std::string::npos) rest += name;
    }
    return rest;
}

}  // namespace

TEST_CASE("delete ends what is selected, with one event each, and nothing else") {
    for (const Case& each : cases()) {
        INFO(each.name);
        Mailroom room;
        CHECK(room.world.count_mail(each.which) == std::string(each.covers).size());
        const Order order = room.world.must_give({.action = OrderAction::Delete, .which = each.which, .why = "wrong"});
        CHECK(room.world.finished(order.id).recipients == std::string(each.covers).size());
        CHECK(room.recipients(EventType::Cancelled) == each.covers);
        CHECK(room.world.count(EventType::Cancelled) == std::string(each.covers).size());
        for (const Event& event : room.world.events(EventType::Cancelled)) {
            CHECK(event.reason == "deleted by op: wrong (order 1)");
        }
        room.let_go();
        room.world.advance(2h);
        CHECK(room.recipients(EventType::Delivered) == others(each.covers));
        CHECK(room.world.spool.messages() == 0);
        CHECK(room.world.count(EventType::Bounced) == 0);
    }
}

TEST_CASE("bounce ends what is selected with the reply that was given") {
    for (const Case& each : cases()) {
        INFO(each.name);
        Mailroom room;
        const Order order =
            room.world.must_give({.action = OrderAction::Bounce, .which = each.which, .text = "550 5.7.1 Not wanted"});
        CHECK(room.world.finished(order.id).recipients == std::string(each.covers).size());
        CHECK(room.recipients(EventType::Bounced) == each.covers);
        for (const Event& event : room.world.events(EventType::Bounced)) {
            REQUIRE(event.delivery);
            CHECK(event.delivery->reply.to_string() == "550 5.7.1 Not wanted");
            CHECK(event.bounce);
            CHECK(event.reason == "bounced by op (order 1)");
        }
        room.let_go();
        room.world.advance(2h);
        CHECK(room.recipients(EventType::Delivered) == others(each.covers));
        CHECK(room.world.spool.messages() == 0);
    }
}

TEST_CASE("move sends what is selected by another virtual MTA, and keeps when it is due") {
    for (const Case& each : cases()) {
        INFO(each.name);
        Mailroom room;
        const Order order = room.world.must_give({.action = OrderAction::Move, .which = each.which, .text = "v3"});
        CHECK(room.world.finished(order.id).recipients == std::string(each.covers).size());
        room.let_go();
        room.world.advance(10min);
        CHECK(room.world.count(EventType::Delivered) == 0);
        room.world.advance(2h);
        std::string by_v3;
        for (const Event& event : room.world.events(EventType::Delivered)) {
            if (event.virtual_mta == "v3") by_v3 += ascii_lower(event.recipient[0]);
        }
        std::sort(by_v3.begin(), by_v3.end());
        CHECK(by_v3 == each.covers);
        CHECK(room.world.count(EventType::Delivered) == 6);
        CHECK(room.world.spool.messages() == 0);
    }
}

TEST_CASE("pause holds what is selected, until it is withdrawn") {
    for (const Case& each : cases()) {
        INFO(each.name);
        Mailroom room;
        const Order order = room.world.pause(each.which);
        room.let_go();
        room.world.advance(2h);
        CHECK(room.recipients(EventType::Delivered) == others(each.covers));
        for (const QueuedTask& task : room.world.list({.everything = true})) {
            CHECK(task.state == "held: paused: by op: maintenance (order 1)");
        }
        CHECK(room.world.count_mail({.everything = true}) == std::string(each.covers).size());
        room.world.withdraw(order.id);
        room.world.advance(2h);
        CHECK(room.recipients(EventType::Delivered) == "abcdef");
        CHECK(room.world.spool.messages() == 0);
    }
}

TEST_CASE("retry makes what is selected due now") {
    for (const Case& each : cases()) {
        INFO(each.name);
        Mailroom room;
        room.let_go();
        CHECK(room.world.retry(each.which) == std::string(each.covers).size());
        room.world.advance(1min);
        // Recipients that share a task go together.
        std::string expected = each.covers;
        if (expected == "a" || expected == "b") expected = "ab";
        CHECK(room.recipients(EventType::Delivered) == expected);
    }
}

TEST_CASE("orders hold for mail that comes later when they stand, and not when they do not") {
    Mailroom room;
    room.let_go();
    SenderWorld& world = room.world;
    const auto later = [&] { return world.executors[0]->wall_now() + std::chrono::hours(1); };
    world.must_give({.action = OrderAction::Delete, .which = {.job = "once"}});
    world.must_give({.action = OrderAction::Delete, .which = {.job = "hour"}, .expires_at = later()});
    world.must_give(
        {.action = OrderAction::Bounce, .which = {.tenant = "t"}, .text = "550 5.7.1 no", .expires_at = later()});
    world.must_give(
        {.action = OrderAction::Move, .which = {.reverse_path = "m@x.test"}, .text = "bulk", .expires_at = later()});
    world.advance(1s);
    world.accept({.to = {"g@x.test"}, .job = "once"});
    world.accept({.to = {"h@x.test"}, .job = "hour"});
    world.accept({.to = {"i@x.test"}, .tenant = "t"});
    world.accept({.from = "m@x.test", .to = {"j@x.test"}, .virtual_mta = "v3"});
    world.settle();
    CHECK(room.recipients(EventType::Delivered) == "gj");
    CHECK(room.recipients(EventType::Cancelled) == "h");
    CHECK(room.recipients(EventType::Bounced) == "i");
    for (const Event& event : world.events(EventType::Delivered)) {
        if (event.recipient == "j@x.test") CHECK((event.pool == "bulk" && event.virtual_mta != "v3"));
    }
    world.advance(61min);
    world.accept({.to = {"k@x.test"}, .job = "hour"});
    CHECK(room.recipients(EventType::Delivered).find('k') != std::string::npos);
    for (const Order& order : world.orders()) CHECK(order.finished_at);
}

TEST_CASE("age: what was accepted before the time given, scheduled or not") {
    Mailroom room;
    const WallTime before = room.world.executors[0]->wall_now() - std::chrono::minutes(5);
    CHECK(room.world.remove({.accepted_before = before}) == 2);
    CHECK(room.recipients(EventType::Cancelled) == "ab");
}

TEST_CASE("one message is selected by its id") {
    Mailroom room;
    CHECK(room.world.remove({.message = room.message_of_a}) == 2);
    CHECK(room.recipients(EventType::Cancelled) == "ab");
}

TEST_CASE("a suppressed address or domain gets nothing, of its tenant or of all") {
    Mailroom room;
    room.let_go();
    SenderWorld& world = room.world;
    const auto suppress = [&](MailSelector which) {
        return world.must_give({.action = OrderAction::Suppress, .which = std::move(which), .why = "unsubscribed"});
    };
    const OrderId b = suppress({.recipient = "B@x.test"}).id;
    suppress({.domain = "y.test", .tenant = "acme"});
    CHECK(suppress({.recipient = "b@X.TEST"}).id == b);  // it is the same
    CHECK(suppress({.tenant = "acme", .recipient = "b@x.test"}).id != b);
    world.advance(2h);
    CHECK(room.recipients(EventType::Suppressed) == "bde");
    CHECK(room.recipients(EventType::Delivered) == "acf");
    world.accept({.to = {"b@x.test", "g@x.test"}});
    CHECK(world.count(EventType::Suppressed) == 4);
    CHECK(room.recipients(EventType::Delivered) == "acfg");
    CHECK(world.events(EventType::Suppressed).back().reason == "suppressed by op: unsubscribed (order 1)");
    CHECK_THAT(world.host("192.0.2.1:25").recipients_delivered(),
               Catch::UnorderedEquals(std::vector<std::string>{"a@x.test", "C@x.test", "g@x.test"}));
    world.withdraw(b);
    world.accept({.to = {"b@x.test"}});
    CHECK(room.recipients(EventType::Delivered) == "abcfg");
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("what a wider order ends is not held by a pause, and of two orders the older decides") {
    Mailroom room;
    room.world.pause({.tenant = "acme"});
    room.world.pause({.queue = "y.test/v1"});
    CHECK(room.world.remove({.site = "y.test"}) == 3);
    CHECK(room.recipients(EventType::Cancelled) == "def");
    room.world.must_give({.action = OrderAction::Suppress, .which = {.recipient = "a@x.test"}});
    const auto until = room.world.executors[0]->wall_now() + std::chrono::hours(9);
    room.world.must_give(
        {.action = OrderAction::Bounce, .which = {.job = "promo-1"}, .text = "550 5.7.1 no", .expires_at = until});
    room.world.advance(1s);
    CHECK(room.recipients(EventType::Suppressed) == "a");
    CHECK(room.recipients(EventType::Bounced) == "b");
}

TEST_CASE("a pause that ends by itself lets its mail go, over a restart, too") {
    Mailroom room;
    SenderWorld& world = room.world;
    const auto until = world.executors[0]->wall_now() + std::chrono::hours(3);
    world.must_give({.which = {.job = "promo-*"}, .expires_at = until});
    world.must_give({.which = {.recipient = "f@*"}, .expires_at = until});
    room.let_go();
    world.advance(2h);
    CHECK(room.recipients(EventType::Delivered) == "ce");
    world.stop();
    world.spool.restart();
    world.start();
    world.advance(30min);
    CHECK(room.recipients(EventType::Delivered) == "ce");
    CHECK(world.queue("x.test/v1").held == 2);
    world.advance(1h);
    CHECK(room.recipients(EventType::Delivered) == "abcdef");
}

TEST_CASE("an order is finished by the process that comes after a crash, and each recipient has one terminal event") {
    Mailroom room(2);
    SenderWorld& world = room.world;
    world.pause({.everything = true});
    for (int i = 0; i < 3000; ++i) world.accept({.to = {"n" + std::to_string(i) + "@x.test"}, .job = "many"});
    world.advance(1s);
    const OrderId id = world.must_give({.action = OrderAction::Delete, .which = {.job = "many"}}).id;
    for (int i = 0; i < 40; ++i) world.executors[0]->run_until_idle();
    world.spool.lose_unconfirmed();
    world.stop();
    world.spool.restart();
    world.start();
    world.finished(id);
    CHECK(world.count(EventType::Cancelled) == 3000);
    std::set<std::string> recipients;
    for (const Event& event : world.events(EventType::Cancelled)) recipients.insert(event.recipient);
    CHECK(recipients.size() == 3000);
    CHECK(world.count_mail({.everything = true}) == 6);
}

TEST_CASE("orders that cannot be are refused, and the text says why") {
    Mailroom room;
    const auto refused = [&](Order order) {
        const auto result = room.world.give(std::move(order));
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error().kind == ErrorKind::InvalidArgument);
        return result.error().text;
    };
    using Catch::Matchers::Contains;
    CHECK_THAT(refused({.action = OrderAction::Bounce, .which = {.everything = true}, .text = "450 later"}),
               Contains("no reply that ends mail"));
    CHECK_THAT(refused({.action = OrderAction::Move, .which = {.everything = true}, .text = "v9"}),
               Contains("there is no virtual MTA or pool 'v9'; there are: v1, v2, v3, bulk"));
    CHECK_THAT(refused({.action = OrderAction::Suppress, .which = {.job = "x"}}),
               Contains("one recipient or one domain"));
    CHECK_THAT(refused({.which = {.everything = true}, .expires_at = WallTime{}}), Contains("in the past"));
    CHECK_THAT(refused({.which = {.job = std::string(2000, 'x')}}), Contains("1000 octets"));
    CHECK(room.world.orders().empty());
    room.world.state.fail_next({ErrorKind::Unavailable, "disk full"});
    CHECK(room.world.give({.which = {.everything = true}}).error().text == "disk full");
    CHECK_FALSE(room.world.queue("x.test/v1").paused);
}

TEST_CASE("two moves that could hand mail to each other for ever do not stand together") {
    Mailroom room;
    const auto until = room.world.executors[0]->wall_now() + std::chrono::hours(1);
    const auto move = [&](MailSelector which, const std::string& to) {
        return room.world.give(
            {.action = OrderAction::Move, .which = std::move(which), .text = to, .expires_at = until});
    };
    REQUIRE(move({.virtual_mta = "v1"}, "v2"));
    CHECK_FALSE(move({.virtual_mta = "v2"}, "v1"));
    CHECK_FALSE(move({.virtual_mta = "v2"}, "v3"));
    CHECK_FALSE(move({.everything = true}, "v1"));
    REQUIRE(move({.virtual_mta = "v3"}, "v2"));
}

TEST_CASE("mail that no order is about goes out while others are at work") {
    Mailroom room;
    room.let_go();
    room.world.pause({.job = "promo-*"});
    room.world.must_give({.action = OrderAction::Suppress, .which = {.domain = "z.test"}});
    room.world.accept({.to = {"z@x.test"}});
    CHECK(room.recipients(EventType::Delivered) == "z");
    CHECK(room.world.queue("x.test/v1").held == 2);
    CHECK(room.world.queue("x.test/v1").hold_reason.empty() == false);
}
