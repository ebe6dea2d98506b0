// Where mail goes: DNS pending, failing, changing; sites.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

unsigned connects(SenderWorld& world, const std::vector<std::string>& hosts) {
    unsigned sum = 0;
    for (const auto& host : hosts) sum += world.host(host).connects;
    return sum;
}

}  // namespace

TEST_CASE("while DNS is asked, mail holds under the domain's name; then it moves to its site") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 b.mx 192.0.2.1", "10 a.mx 192.0.2.2"});
    world.resolver.is_silent = true;
    world.start();
    for (int i = 0; i < 3; ++i) world.accept({});
    CHECK(world.resolver.asked.size() == 1);
    CHECK(world.queue("x.test/v1").ready == 3);
    CHECK(world.queue("x.test/v1").hold_reason == "dns pending");
    world.resolver.answer_all();
    world.settle();
    CHECK(world.count(EventType::Delivered) == 3);
    CHECK(world.queue("a.mx/v1").delivered == 3);
    CHECK(world.events(EventType::Delivered)[0].queue == "a.mx/v1");
}

TEST_CASE("the answer is kept for its time to live") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"}, 10min);
    world.start();
    world.accept({});
    world.advance(9min);
    world.accept({});
    CHECK(world.resolver.asked.size() == 1);
    world.advance(2min);
    world.accept({});
    CHECK(world.resolver.asked.size() == 2);
    CHECK(world.count(EventType::Delivered) == 3);
}

TEST_CASE("a domain that does not exist bounces, and so does one that takes no mail", "[C5321-1][rfc7505]") {
    SenderWorld world;
    world.resolver.fail("null.test", MxAnswer::Kind::NullMx, "");
    world.start();
    for (int i = 0; i < 20; ++i) world.hand_over({.to = {"a@nowhere.test"}});
    world.settle();
    world.accept({.to = {"b@null.test"}});
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 21);
    CHECK(bounced[0].delivery->phase == SmtpPhase::Resolve);
    CHECK(bounced[0].delivery->reply.enhanced == EnhancedStatus{5, 1, 2});
    CHECK(bounced[0].bounce == BounceFacts{"hard", "bad-domain", false});
    CHECK(bounced[20].delivery->reply.enhanced == EnhancedStatus{5, 1, 10});
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("DNS that fails defers, is asked again at growing intervals, and never bounces", "[F50]") {
    SenderWorld world;
    world.resolver.fail("x.test", MxAnswer::Kind::Temporary, "SERVFAIL");
    world.start();
    for (int i = 0; i < 10; ++i) world.accept({});
    world.advance(1s);
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() >= 1);
    CHECK(deferred[0].delivery->phase == SmtpPhase::Resolve);
    CHECK(deferred[0].delivery->reply.enhanced == EnhancedStatus{4, 4, 3});
    CHECK(world.queue("x.test/v1").hold_reason == "dns failed: SERVFAIL");
    world.advance(10min);
    CHECK(world.count(EventType::Bounced) == 0);
    CHECK(world.resolver.asked.size() < 80);
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"});
    world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 10);
}

TEST_CASE("an answer that was good is used while DNS is down", "[F50]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"}, 1min);
    world.start();
    world.accept({});
    world.resolver.fail("x.test", MxAnswer::Kind::Temporary, "timeout");
    world.advance(30min);
    world.accept({});
    CHECK(world.count(EventType::Delivered) == 2);
    CHECK(world.count(EventType::Deferred) == 0);
}

TEST_CASE("a domain that was there does not vanish by one answer, but by two", "[F52]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"}, 1min);
    world.start();
    world.accept({});
    world.resolver.fail("x.test", MxAnswer::Kind::NoSuchDomain, "NXDOMAIN");
    world.advance(10min);
    world.accept({});
    CHECK(world.count(EventType::Delivered) == 2);
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"}, 1min);  // a flap: forgotten
    world.advance(10min);
    world.accept({});
    world.resolver.fail("x.test", MxAnswer::Kind::NoSuchDomain, "NXDOMAIN");
    world.advance(10min);
    world.accept({});
    CHECK(world.count(EventType::Delivered) == 4);
    world.advance(10min);
    world.accept({});
    CHECK(world.count(EventType::Bounced) == 1);
}

TEST_CASE("an outage of DNS with mail for many domains asks little, and ends without a stampede", "[F50]") {
    SenderWorld world;
    constexpr std::size_t kDomains = 1500;
    const auto name = [](std::size_t i) { return "d" + std::to_string(i) + ".test"; };
    for (std::size_t i = 0; i < kDomains; ++i) world.resolver.fail(name(i), MxAnswer::Kind::Temporary, "timeout");
    world.resolver.is_silent = true;
    world.start();
    for (std::size_t i = 0; i < kDomains; ++i) world.hand_over({.to = {"a@" + name(i)}});
    world.settle();
    // A resolver that answers everything that is open, once a second: how much was open?
    std::size_t answered = 0;
    const auto open_questions = [&] {
        const std::size_t open = world.resolver.asked.size() - answered;
        answered = world.resolver.asked.size();
        world.resolver.answer_all();
        world.advance(1s);
        return open;
    };
    CHECK(open_questions() == 500);
    CHECK(open_questions() < 50);  // asked before the outage was noticed
    for (int second = 0; second < 600; ++second) CHECK(open_questions() <= 8);
    CHECK(world.count(EventType::Bounced) == 0);

    for (std::size_t i = 0; i < kDomains; ++i) world.resolver.set_mx(name(i), {"10 a.mx 192.0.2.1"});
    std::size_t before = 8, most = 0;
    for (int second = 0; second < 60 && world.count(EventType::Delivered) < kDomains; ++second) {
        const std::size_t open = open_questions();
        CHECK(open <= 2 * std::max<std::size_t>(before, 8));
        before = open;
        most = std::max(most, open);
    }
    CHECK(world.count(EventType::Delivered) == kDomains);
    CHECK(most > 100);
}

TEST_CASE("when the MX set changes, waiting mail is re-keyed", "[F53]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 old.mx 192.0.2.1"}, 1min);
    world.host("192.0.2.1:25").on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT")) return "451 later\r\n";
        return {};
    };
    world.shaping().retry_after = std::vector<Duration>{5min};
    world.start();
    for (int i = 0; i < 5; ++i) world.accept({});
    CHECK(world.queue("old.mx/v1").waiting == 5);
    world.resolver.set_mx("x.test", {"10 new.mx 192.0.2.2"}, 1min);
    world.advance(6min);
    CHECK(world.host("192.0.2.2:25").deliveries.size() == 5);
    CHECK(world.host("192.0.2.1:25").recipients_seen.size() == 5);
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 5);
    CHECK(delivered[0].queue == "new.mx/v1");
    CHECK(delivered[0].attempt == 2);
}

TEST_CASE("when the MX sets of many domains of a queue change at once, all of its mail is re-keyed", "[F53]") {
    constexpr int kDomains = 300;
    SenderWorld world(2);
    config::Provider provider;
    provider.name = "big";
    provider.mx = {"*.big.mx"};
    world.config.providers["big"] = provider;
    const auto name = [](int n) { return "d" + std::to_string(n) + ".test"; };
    const auto move_to = [&](const std::string& host, const std::string& address) {
        for (int n = 0; n < kDomains; ++n) {
            world.resolver.set_mx(name(n), {"10 h" + std::to_string(n) + host + " " + address}, 1min);
        }
    };
    move_to(".big.mx", "192.0.2.1");
    for (const char* at : {"192.0.2.1:25", "192.0.2.2:25"}) {
        world.host(at).on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
            if (command.starts_with("RCPT")) return "451 later\r\n";
            return {};
        };
    }
    world.shaping().retry_after = std::vector<Duration>{5min};
    world.start();
    for (int n = 0; n < kDomains * 5; ++n) world.hand_over({.to = {"a@" + name(n % kDomains)}}, n % 2);
    world.advance(1min);
    CHECK(world.queue("big/v1").waiting == kDomains * 5);
    SECTION("within the queue") {
        move_to(".new.big.mx", "192.0.2.2");
        world.advance(6min);
        CHECK(world.queue("big/v1").waiting == kDomains * 5);
        CHECK(world.host("192.0.2.2:25").recipients_seen.size() == kDomains * 5);
    }
    SECTION("into queues of their own") {
        move_to(".own.mx", "192.0.2.2");
        world.advance(6min);
        CHECK(world.queue("big/v1").waiting == 0);
        CHECK(world.queue("h7.own.mx/v1").waiting == 5);
        CHECK(world.host("192.0.2.2:25").recipients_seen.size() == kDomains * 5);
    }
    CHECK(world.host("192.0.2.1:25").recipients_seen.size() == kDomains * 5);
}

TEST_CASE("a queue forgets the hosts that it has no mail for, and goes on with those that it has") {
    constexpr int kDomains = 5000;
    SenderWorld world;
    config::Provider provider;
    provider.name = "big";
    provider.mx = {"*.big.mx"};
    world.config.providers["big"] = provider;
    world.shaping().max_connections = 10;
    world.shaping().idle_timeout = 1s;
    world.start();
    for (int n = 0; n < kDomains; ++n) {
        const std::string domain = "d" + std::to_string(n) + ".test";
        world.resolver.set_mx(domain, {"10 h" + std::to_string(n) + ".big.mx 192.0.2." + std::to_string(1 + n % 200)});
        world.hand_over({.to = {"a@" + domain}});
        if (n % 500 == 499) world.advance(2s);
    }
    world.advance(10s);
    CHECK(world.count(EventType::Delivered) == kDomains);
    CHECK(world.queue("big/v1").delivered == kDomains);
}

TEST_CASE("domains of one site share its queue; a session serves only those whose MX set it was opened for") {
    SenderWorld world;
    config::Provider provider;
    provider.name = "big";
    provider.mx = {"*.big.mx"};
    world.config.providers["big"] = provider;
    world.resolver.set_mx("one.test", {"10 in1.big.mx 192.0.2.1"});
    world.resolver.set_mx("two.test", {"10 in2.big.mx 192.0.2.2"});
    world.resolver.set_mx("three.test", {"10 in1.big.mx 192.0.2.1"});
    world.shaping().max_connections = 1;
    world.start();
    for (int i = 0; i < 3; ++i) {
        for (const char* domain : {"one", "two", "three"}) {
            world.hand_over({.to = {std::string("a@") + domain + ".test"}});
        }
    }
    world.advance(30s);
    CHECK(world.count(EventType::Delivered) == 9);
    for (const Event& event : world.events(EventType::Delivered)) {
        CHECK(event.queue == "big/v1");
        CHECK(event.delivery->mx_host == (event.recipient == "a@two.test" ? "in2.big.mx" : "in1.big.mx"));
    }
    CHECK(world.host("192.0.2.1:25").most_open == 1);
    CHECK(world.host("192.0.2.2:25").most_open == 1);
}

TEST_CASE("a route with a name is looked up, and one that does not resolve holds the mail") {
    SenderWorld world;
    world.config.routes["x.test"] = {{"relay.test", 2525}};
    world.start();
    world.accept({});
    world.accept({});
    CHECK(world.count(EventType::Bounced) == 0);
    CHECK(world.count(EventType::Deferred) == 1);
    CHECK(world.queue("x.test/v1").hold_reason == "dns failed: relay.test: NXDOMAIN");
    world.resolver.set_mx("relay.test", {"0 relay.test 192.0.2.7"});
    world.advance(1min);
    CHECK(world.host("192.0.2.7:2525").deliveries.size() == 2);
}

TEST_CASE("a route that a reload mends is used at once by what waits") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.host("192.0.2.1:25").is_black_hole = true;
    world.start();
    for (int i = 0; i < 3; ++i) world.accept({});
    world.advance(2min);
    world.config.routes.clear();
    world.route("x.test", "192.0.2.2:25");
    world.reload();
    world.advance(2min);
    CHECK(world.host("192.0.2.2:25").deliveries.size() == 3);
}

TEST_CASE("an address literal is delivered to that address") {
    SenderWorld world;
    world.start();
    world.accept({.to = {"a@[192.0.2.9]"}});
    CHECK(world.host("192.0.2.9:25").deliveries.size() == 1);
    CHECK(world.resolver.asked.empty());
}

TEST_CASE("mail for a host in a private network bounces, and nothing is connected to", "[SEC-13][F70]") {
    SenderWorld world;
    world.resolver.set_mx("inside.test", {"10 mx.inside.test 10.0.0.1 127.0.0.1"});
    world.resolver.set_mx("mapped.test", {"10 mx.mapped.test ::ffff:169.254.169.254"});
    world.start();
    for (const char* to : {"a@inside.test", "a@mapped.test", "a@[127.0.0.1]", "a@[IPv6:::1]"})
        world.accept({.to = {to}});
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 4);
    for (const Event& event : bounced) {
        CHECK(event.delivery->phase == SmtpPhase::Resolve);
        CHECK(event.delivery->reply.enhanced == EnhancedStatus{5, 4, 4});
    }
    CHECK(connects(world, {"10.0.0.1:25", "127.0.0.1:25", "169.254.169.254:25", "[::1]:25"}) == 0);
}

TEST_CASE("an address that is private beside a public one is not connected to", "[SEC-13]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 127.0.0.1", "20 b.mx 192.0.2.2"});
    world.start();
    world.accept({});
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(connects(world, {"127.0.0.1:25", "192.0.2.2:25"}) == 1);
}

TEST_CASE("a name that leads somewhere else the second time is looked at anew", "[SEC-13]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 192.0.2.1"}, 1min);
    world.start();
    world.accept({});
    world.resolver.set_mx("x.test", {"10 a.mx 127.0.0.1"}, 1min);
    world.advance(10min);
    world.accept({});
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(world.count(EventType::Bounced) == 1);
    CHECK(connects(world, {"127.0.0.1:25", "192.0.2.1:25"}) == 1);
}

TEST_CASE("a route may lead to any address", "[SEC-13]") {
    SenderWorld world;
    world.route("x.test", "10.0.0.1:2525");
    world.start();
    world.accept({});
    CHECK(world.host("10.0.0.1:2525").deliveries.size() == 1);
}

TEST_CASE("mail that would come back to us bounces; a better host than us takes it", "[C5321-1]") {
    SenderWorld world;
    world.resolver.set_mx("loop.test", {"10 mta.test 192.0.2.5", "20 b.mx 192.0.2.2"});
    world.resolver.set_mx("backup.test", {"10 a.mx 192.0.2.1", "20 mta.test 192.0.2.5"});
    world.start();
    world.accept({.to = {"a@loop.test"}});
    world.accept({.to = {"a@backup.test"}});
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 1);
    CHECK(bounced[0].delivery->reply.enhanced == EnhancedStatus{5, 4, 6});
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);
    CHECK(world.host("192.0.2.2:25").deliveries.empty());
}

TEST_CASE("an address family without a source, or without a place in the policy, is not tried", "[F45]") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 2001:db8::2 192.0.2.1"});
    world.resolver.set_mx("six.test", {"10 b.mx 2001:db8::3"});
    world.start();
    world.accept({});
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);
    CHECK(connects(world, {"[2001:db8::2]:25", "[2001:db8::3]:25", "192.0.2.1:25"}) == 1);
    world.accept({.to = {"a@six.test"}});
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->reply.enhanced == EnhancedStatus{4, 4, 4});
    CHECK(connects(world, {"[2001:db8::2]:25", "[2001:db8::3]:25", "192.0.2.1:25"}) == 1);
}
