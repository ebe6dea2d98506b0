// The spool's bad days: latched, low on space, damaged records; outcomes that wait for it.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

TEST_CASE("while the spool is latched no transaction starts, nothing is accepted; then everything goes on") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    world.start();
    for (int i = 0; i < 3; ++i) world.accept({});
    world.spool.latch("disk on fire");
    world.settle();
    host.refuses.reset();
    world.advance(5min);
    CHECK(host.deliveries.empty());
    CHECK(world.queue("x.test/v1").hold_reason == "spool latched");
    const Admission admission = world.sender->handover().admission();
    CHECK_FALSE(admission.open);
    CHECK_FALSE(admission.space_low);
    CHECK(world.try_accept({}).error().kind == ErrorKind::Unavailable);

    world.spool.recover();
    world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 3);
    CHECK(world.sender->handover().admission().open);
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("an outcome that could not be recorded is kept, and recorded after recovery, without a second copy", "[P3]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [&world](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == ".") world.spool.latch("sync failed");
        return {};
    };
    world.start();
    world.accept({});
    CHECK(host.deliveries.size() == 1);
    world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 0);
    CHECK(world.spool.tasks().size() == 1);
    host.on_command = nullptr;
    world.spool.recover();
    world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
    CHECK(host.deliveries.size() == 1);
}

TEST_CASE("mail that is offered twice under one id is sent once, and both offers are answered with ok", "[P3]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    world.start();
    Mail mail;
    mail.id = MessageId{{1, 2, 3}};
    mail.taken_as = mail.id;
    SECTION("while the first one waits for its commit") {
        world.spool.hold();
        world.hand_over(mail);
        world.hand_over(mail);
        world.settle();
        CHECK(host.deliveries.empty());
        world.spool.release();
    }
    SECTION("when it has been delivered") {
        REQUIRE(world.try_accept(mail));
        CHECK(world.spool.tasks().empty());
        REQUIRE(world.try_accept(mail));
    }
    world.settle();
    REQUIRE(world.last_status);
    CHECK(world.last_status->has_value());
    CHECK(host.deliveries.size() == 1);
    CHECK(world.count(EventType::Accepted) == 1);
    CHECK(world.spool.messages() == 0);
    CHECK(world.spool.statistics().repeated == 1);
    world.spool.forget_taken();
    REQUIRE(world.try_accept(mail));
    CHECK(host.deliveries.size() == 2);
}

TEST_CASE("past its time no transaction begins, and mail goes on when the time is moved on") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    world.start();
    world.sender->allow_until(steady_clock_with_suspend() - 1s);
    world.accept({});
    world.advance(1min);
    CHECK(host.deliveries.empty());
    CHECK(world.queue("x.test/v1").hold_reason == "not known to own its name any more");
    world.sender->allow_until(steady_clock_with_suspend() + 1h);
    world.settle();
    CHECK(host.deliveries.size() == 1);
    world.accept({});
    CHECK(host.deliveries.size() == 2);
    world.sender->allow_until(SteadyTime::min());
    world.accept({});
    CHECK(host.deliveries.size() == 2);
    world.sender->allow_until(SteadyTime::max());
    world.settle();
    CHECK(host.deliveries.size() == 3);
}

TEST_CASE("a commit that fails without a latch is repeated") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [&world](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == ".") world.spool.fail_next_commits(2, {ErrorKind::Internal, "odd"});
        return {};
    };
    world.start();
    world.accept({});
    CHECK(world.count(EventType::Delivered) == 0);
    host.on_command = nullptr;
    world.advance(5s);
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(host.deliveries.size() == 1);
}

TEST_CASE("low space refuses new mail and keeps delivering") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    world.start();
    world.accept({});
    world.spool.space_low(true);
    host.refuses.reset();
    const Admission admission = world.sender->handover().admission();
    CHECK_FALSE(admission.open);
    CHECK(admission.space_low);
    CHECK(world.try_accept({}).error().kind == ErrorKind::ResourceExhausted);
    world.advance(1min);
    CHECK(world.count(EventType::Delivered) == 1);
}

TEST_CASE("a message that was not committed is not delivered", "[P2]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.spool.fail_next_commits(1, {ErrorKind::Unavailable, "no"});
    CHECK_FALSE(world.try_accept({}).has_value());
    world.advance(1min);
    CHECK(world.host("192.0.2.1:25").connects == 0);
}

TEST_CASE("a crash between the remote's 250 and our record sends a second copy, and forgets nothing", "[P1][P3]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [&world](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == ".") world.spool.hold();
        return {};
    };
    world.start();
    world.accept({});
    CHECK(host.deliveries.size() == 1);
    world.stop();
    world.spool.lose_unconfirmed();
    world.spool.restart();
    host.on_command = nullptr;
    world.start();
    world.advance(1min);
    CHECK(host.deliveries.size() == 2);
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("a damaged record ends as a bounce that says so, and holds up nothing else") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    world.start();
    world.accept({.to = {"bad@x.test"}});
    world.spool.corrupt_content(world.spool.tasks()[0].key.message);
    world.accept({.to = {"good@x.test"}});
    world.stop();
    world.spool.restart();
    host.refuses.reset();
    world.start();
    world.advance(2min);
    CHECK(host.recipients_delivered() == std::vector<std::string>{"good@x.test"});
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 1);
    CHECK(bounced[0].recipient == "bad@x.test");
    CHECK(bounced[0].reason == "spool record damaged");
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("beyond the memory for content the first attempt reads the spool, and nothing else changes") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.config.spool.memory_for_content = 0;
    world.start();
    world.accept({});
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);
    CHECK(world.host("192.0.2.1:25").deliveries[0].content.ends_with("hello\r\n"));
}

TEST_CASE("mail that is held does not keep its content in memory; everybody else's does", "[P6]") {
    SenderWorld world;
    world.route("dead.test", "192.0.2.1:25");
    world.route("well.test", "192.0.2.2:25");
    world.config.spool.memory_for_content = 20'000;  // about ten of these
    FakeHost& dead = world.host("192.0.2.1:25");
    dead.refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    const auto reads = [&] { return world.metrics->counter("postfleet_sender_content_reads_total", "").value(); };
    world.start();
    bool is_paused = false;
    SECTION("by a host that cannot be reached") {
        for (int i = 0; i < 30; ++i) world.accept({.to = {"a@dead.test"}});
    }
    SECTION("by an operator's order, before or after it came") {
        dead.refuses.reset();
        dead.greeting_after = 1min;
        for (int i = 0; i < 15; ++i) world.accept({.to = {"a@dead.test"}});
        world.pause({.queue = "dead.test/v1"});
        is_paused = true;
        for (int i = 0; i < 15; ++i) world.accept({.to = {"a@dead.test"}});
    }
    const auto before = reads();
    for (int i = 0; i < 5; ++i) world.accept({.to = {"b@well.test"}});
    CHECK(world.host("192.0.2.2:25").deliveries.size() == 5);
    CHECK(reads() == before);

    dead.refuses.reset();
    if (is_paused) world.resume({.queue = "dead.test/v1"});
    world.advance(5min);
    CHECK(dead.deliveries.size() == 30);
    CHECK(reads() > before);
}

TEST_CASE("a body of many chunks goes out piece by piece, as the socket takes it", "[F40]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    std::string content = "Subject: large\r\n\r\n";
    while (content.size() < 1'000'000) content += std::string(70, 'x') + "\r\n";
    const bool dots = GENERATE(false, true);
    if (dots) content += ".a line with a dot\r\n..two\r\n";
    SECTION("at once") {}
    SECTION("in small pieces") { host.socket_octets = 10'000; }
    world.start();
    world.accept({.content = content, .has_leading_dots = dots});
    REQUIRE(host.deliveries.size() == 1);
    std::string expected = "Received: from test\r\n" + content;
    if (dots)
        expected.replace(expected.find("\r\n.a line"), 3, "\r\n..").replace(expected.find("\r\n..two"), 4, "\r\n...");
    CHECK(host.deliveries[0].content == expected);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("a peer that stops reading in the middle of the body is given up after body_timeout", "[F40]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [&host](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == "DATA") host.is_stalled = true;
        return {};
    };
    world.start();
    world.accept({.content = std::string(600'000, 'x') + "\r\n"});
    world.advance(2min);
    CHECK(world.count(EventType::Deferred) == 0);
    world.advance(2min);
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->phase == SmtpPhase::Body);
    CHECK(deferred[0].delivery->reply.text == "timed out while sending the message");
}

TEST_CASE("content that is damaged in the middle never looks like a whole message") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.on_command = [&world](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == "DATA") world.spool.corrupt_content(world.spool.tasks()[0].key.message);
        return {};
    };
    world.start();
    world.accept({.content = std::string(600'000, 'x') + "\r\n"});
    CHECK(host.deliveries.empty());
    CHECK(host.open == 0);
    const auto bounced = world.events(EventType::Bounced);
    REQUIRE(bounced.size() == 1);
    CHECK(bounced[0].reason == "spool record damaged");
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("the number of outcomes that are not recorded is bounded: beyond it no transaction begins") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 0;
    world.shaping().max_messages_per_connection = config::kUnlimited;
    world.start();
    for (int i = 0; i < 2'200; ++i) world.hand_over({});
    world.settle();
    world.spool.hold();
    world.shaping().max_connections = 20;
    world.reload();
    world.advance(1s);
    const FakeHost& host = world.host("192.0.2.1:25");
    CHECK(host.deliveries.size() >= 2'000);
    CHECK(host.deliveries.size() <= 2'020);
    CHECK(world.queue("x.test/v1").hold_reason == "too many outcomes are not recorded yet");
    world.spool.release();
    world.advance(10s);
    CHECK(host.deliveries.size() == 2'200);
    CHECK(world.spool.tasks().empty());
}
