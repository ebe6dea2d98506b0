// Several recipients: mixed results, splitting, transactions of bounded size.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> many(int n, const std::string& domain = "x.test") {
    std::vector<std::string> out;
    for (int i = 0; i < n; ++i) out.push_back("r" + std::to_string(100 + i) + "@" + domain);
    return out;
}

}  // namespace

TEST_CASE("the recipients of one domain go in one transaction") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.accept({.to = many(5)});
    const FakeHost& host = world.host("192.0.2.1:25");
    REQUIRE(host.deliveries.size() == 1);
    CHECK(host.deliveries[0].to == many(5));
    CHECK(world.count(EventType::Delivered) == 5);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("mixed results: each recipient gets its own, and the rest of the task goes again", "[C5321-5]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    bool first = true;
    host.on_command = [&first](Peer&, const std::string& command) -> std::optional<std::string> {
        if (!first) return {};
        if (command.starts_with("RCPT TO:<later")) return "450 4.2.1 later\r\n";
        if (command.starts_with("RCPT TO:<bad")) return "550 5.1.1 no such user\r\n";
        return {};
    };
    world.start();
    world.accept({.to = {"good@x.test", "later@x.test", "bad@x.test", "fine@x.test"}});
    CHECK(host.recipients_delivered() == std::vector<std::string>{"fine@x.test", "good@x.test"});
    CHECK(world.count(EventType::Delivered) == 2);
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 1);
    CHECK(bounced[0].recipient == "bad@x.test");
    CHECK(bounced[0].bounce == BounceFacts{"hard", "bad-mailbox", false});
    const auto tasks = world.spool.tasks();
    REQUIRE(tasks.size() == 1);
    REQUIRE(tasks[0].recipients.size() == 1);
    CHECK(tasks[0].recipients[0].address == "later@x.test");

    first = false;
    world.advance(11s);
    CHECK(host.recipients_delivered() == std::vector<std::string>{"fine@x.test", "good@x.test", "later@x.test"});
    CHECK(world.spool.messages() == 0);
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("all recipients refused: nothing is sent, the connection goes on with the next message") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT TO:<bad")) return "550 5.1.1 no\r\n";
        return {};
    };
    world.start();
    world.accept({.to = {"bad1@x.test", "bad2@x.test"}});
    world.accept({.to = {"good@x.test"}});
    CHECK(world.count(EventType::Bounced) == 2);
    CHECK(host.recipients_delivered() == std::vector<std::string>{"good@x.test"});
    CHECK(host.connects == 1);
    const auto& commands = host.peers[0]->commands;
    CHECK(std::count(commands.begin(), commands.end(), "RSET") == 1);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("a transaction has at most max_recipients_per_transaction, or what the server announces") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    SECTION("by our setting") { world.shaping().max_recipients_per_transaction = 3; }
    SECTION("by LIMITS RCPTMAX") { host.ehlo = "250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=3\r\n"; }
    world.start();
    world.accept({.to = many(8)});
    REQUIRE(host.deliveries.size() == 3);
    CHECK(host.deliveries[0].to.size() == 3);
    CHECK(host.deliveries[2].to.size() == 2);
    CHECK(host.recipients_delivered() == many(8));
    CHECK(world.count(EventType::Delivered) == 8);
    CHECK(world.count(EventType::Deferred) == 0);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("a server that takes only so many recipients gets the others in the next transaction",
          "[rfc5321-4.5.3.1.10]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    int taken = 0;
    host.on_command = [&taken](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("MAIL")) taken = 0;
        if (command.starts_with("RCPT") && ++taken > 2) return "452 4.5.3 too many recipients\r\n";
        return {};
    };
    world.start();
    world.accept({.to = many(5)});
    CHECK(host.recipients_delivered() == many(5));
    CHECK(host.deliveries.size() == 3);
    CHECK(world.count(EventType::Deferred) == 0);
}

TEST_CASE("one message for several domains: each goes its way, the content stays until the last is done") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.route("y.test", "192.0.2.2:25");
    FakeHost& slow = world.host("192.0.2.2:25");
    int refusals = 1;
    slow.on_command = [&refusals](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("MAIL") && refusals-- > 0) return "451 later\r\n";
        return {};
    };
    world.start();
    world.accept({.to = {"a@x.test", "b@y.test", "c@x.test"}});
    CHECK(world.host("192.0.2.1:25").recipients_delivered() == std::vector<std::string>{"a@x.test", "c@x.test"});
    CHECK(world.spool.messages() == 1);
    world.advance(11s);
    CHECK(slow.recipients_delivered() == std::vector<std::string>{"b@y.test"});
    CHECK(world.spool.messages() == 0);
    CHECK(world.spool.tasks().empty());
}

namespace {

// Three domains of one provider, behind one host.
struct SharedHost : SenderWorld {
    SharedHost() {
        config::Provider provider;
        provider.name = "big";
        provider.mx = {"*.big.mx"};
        config.providers["big"] = provider;
        for (const char* domain : {"one.test", "two.test", "three.test"}) {
            resolver.set_mx(domain, {"10 in.big.mx 192.0.2.1"});
        }
    }
    FakeHost& big = host("192.0.2.1:25");
    const Mail mail{.to = {"a@one.test", "b@two.test", "c@one.test", "d@three.test"}};
    std::vector<std::size_t> sizes() const {
        std::vector<std::size_t> out;
        for (const Delivery& delivery : big.deliveries) out.push_back(delivery.to.size());
        return out;
    }
};

}  // namespace

TEST_CASE("domains of a site share a transaction where the configuration says so, and only there", "[C5321-10]") {
    SharedHost w;
    std::vector<std::size_t> expected;
    SECTION("by default each has its own") { expected = {2, 1, 1}; }
    SECTION("two of them") {
        w.shaping().max_domains_per_transaction = 2;
        expected = {3, 1};
    }
    SECTION("all of them") {
        w.shaping().max_domains_per_transaction = 10;
        expected = {4};
    }
    SECTION("not more recipients than a transaction may have") {
        w.shaping().max_domains_per_transaction = 10;
        w.shaping().max_recipients_per_transaction = 3;
        expected = {3, 1};
    }
    SECTION("not more domains than the server announces") {
        w.shaping().max_domains_per_transaction = 10;
        w.big.ehlo = "250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTDOMAINMAX=2\r\n";
        expected = {3, 1};
    }
    SECTION("a rate counts recipients one by one") {
        w.shaping().max_domains_per_transaction = 10;
        w.shaping().max_message_rate = {100, 1s};
        expected = {1, 1, 1, 1};
    }
    w.start();
    w.accept(w.mail);
    w.advance(1s);
    CHECK(w.sizes() == expected);
    CHECK(w.big.recipients_delivered().size() == 4);
    CHECK(w.count(EventType::Delivered) == 4);
    CHECK(w.spool.messages() == 0);
    CHECK(w.spool.tasks().empty());
}

TEST_CASE("of domains that share a transaction each recipient has its own result, and each domain its own task",
          "[C5321-10]") {
    SharedHost w;
    w.shaping().max_domains_per_transaction = 10;
    int later = 1;
    w.big.on_command = [&later](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT TO:<b@") && later-- > 0) return "451 4.2.1 later\r\n";
        if (command.starts_with("RCPT TO:<d@")) return "550 5.1.1 no\r\n";
        return {};
    };
    w.start();
    w.accept(w.mail);
    CHECK(w.big.recipients_delivered() == std::vector<std::string>{"a@one.test", "c@one.test"});
    CHECK(w.count(EventType::Deferred) == 1);
    CHECK(w.count(EventType::Bounced) == 1);
    REQUIRE(w.spool.tasks().size() == 1);
    CHECK(w.spool.tasks()[0].domain == "two.test");
    CHECK(w.spool.messages() == 1);
    w.advance(11s);
    CHECK(w.big.recipients_delivered() == std::vector<std::string>{"a@one.test", "b@two.test", "c@one.test"});
    CHECK(w.count(EventType::Delivered) == 3);
    CHECK(w.spool.messages() == 0);
}

TEST_CASE("a connection that is lost in a transaction of several domains defers them all, and they go again together",
          "[C5321-10]") {
    SharedHost w;
    w.shaping().max_domains_per_transaction = 10;
    int cuts = 1;
    w.big.on_command = [&cuts](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("DATA") && cuts-- > 0) {
            peer.hang_up();
            return "";
        }
        return {};
    };
    w.start();
    w.accept(w.mail);
    CHECK(w.big.recipients_delivered().empty());
    CHECK(w.count(EventType::Deferred) == 4);
    CHECK(w.spool.tasks().size() == 3);
    w.advance(11s);
    CHECK(w.big.recipients_delivered().size() == 4);
    CHECK(w.count(EventType::Delivered) == 4);
    CHECK(w.spool.messages() == 0);
}

TEST_CASE("mail merge shares no transaction: every recipient has a message of its own", "[C5321-10]") {
    SharedHost w;
    w.shaping().max_domains_per_transaction = 10;
    w.start();
    Mail verp = w.mail;
    verp.verp = true;
    w.accept(verp);
    CHECK(w.sizes() == std::vector<std::size_t>{1, 1, 1, 1});
}

TEST_CASE("content of a message with several tasks is removed also when a restart came between") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.route("y.test", "192.0.2.2:25");
    world.host("192.0.2.1:25").refuses = world.host("192.0.2.2:25").refuses =
        CloseReason{CloseReason::Kind::ConnectRefused, "connection refused"};
    world.start();
    world.accept({.to = {"a@x.test", "b@y.test"}});
    world.stop();
    world.spool.restart();
    world.host("192.0.2.1:25").refuses = world.host("192.0.2.2:25").refuses = std::nullopt;
    world.start();
    world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 2);
    CHECK(world.spool.messages() == 0);
}
