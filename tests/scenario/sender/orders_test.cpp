// What operators tell the sender: pause, resume, retry, delete; listings; drain. selections_test.cpp has every selection
// with every order.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

const CloseReason kRefused{CloseReason::Kind::ConnectRefused, "refused"};

void defer_all(FakeHost& host) {
    host.on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT")) return "451 later\r\n";
        return {};
    };
}

}  // namespace

TEST_CASE("a paused queue sends nothing, says why, and goes on after resume") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.route("y.test", "192.0.2.2:25");
    world.start();
    world.accept({.to = {"a@x.test", "a@y.test"}});
    world.pause({.queue = "x.test/v1"});
    world.accept({.to = {"a@x.test", "a@y.test"}});
    world.advance(1min);
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);
    CHECK(world.host("192.0.2.2:25").deliveries.size() == 2);
    const QueueStatus queue = world.queue("x.test/v1");
    CHECK(queue.paused);
    CHECK(queue.hold_reason == "paused: by op: maintenance (order 1)");
    world.resume({.queue = "x.test/v1"});
    world.settle();
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 2);
    CHECK_FALSE(world.queue("x.test/v1").paused);
}

TEST_CASE("a pause survives a restart and holds for queues that come later") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.pause({.virtual_mta = "v1"});
    world.accept({});
    world.stop();
    world.spool.restart();
    world.start();
    world.advance(1min);
    CHECK(world.host("192.0.2.1:25").connects == 0);
    CHECK(world.queue("x.test/v1").paused);
    world.resume({.virtual_mta = "v1"});
    world.settle();
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);
    world.stop();
    world.spool.restart();
    world.start();
    world.accept({});
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 2);
}

TEST_CASE("a queue that a wider order pauses is not resumed alone") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.accept({});
    world.pause({.virtual_mta = "v1"});
    const auto result = world.ask<Result<std::vector<Order>>>(
        [&](auto done) { world.sender->control().resume({.queue = "x.test/v1"}, std::move(done)); });
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().kind == ErrorKind::NotFound);
    CHECK(result.error().text.find("order 1 pauses more (virtual MTA v1)") != std::string::npos);
    CHECK(world.queue("x.test/v1").paused);
}

TEST_CASE("retry: what waits goes now") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().retry_after = std::vector<Duration>{1h};
    world.shaping().expire_after = 10h;
    FakeHost& host = world.host("192.0.2.1:25");
    defer_all(host);
    world.start();
    world.accept({.job = "one"});
    world.accept({.job = "two"});
    host.on_command = nullptr;
    CHECK(world.retry({.job = "two"}) == 1);
    world.settle();
    CHECK(host.deliveries.size() == 1);
    CHECK(world.retry({.everything = true}) == 1);
    world.settle();
    CHECK(host.deliveries.size() == 2);
    CHECK(world.events(EventType::Delivered)[0].attempt == 2);
}

TEST_CASE("retry overrides the rest after failed connections") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().retry_after = std::vector<Duration>{1h};
    FakeHost& host = world.host("192.0.2.1:25");
    host.refuses = kRefused;
    world.start();
    for (int i = 0; i < 5; ++i) world.accept({});
    world.advance(2min);
    host.refuses.reset();
    CHECK(world.retry({.queue = "x.test/v1"}) == 5);
    world.settle();
    CHECK(host.deliveries.size() == 5);
}

TEST_CASE("delete: the mail is gone, and each recipient has its event") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.route("y.test", "192.0.2.2:25");
    defer_all(world.host("192.0.2.1:25"));
    defer_all(world.host("192.0.2.2:25"));
    world.start();
    world.accept({.to = {"a@x.test", "b@x.test", "c@y.test"}, .job = "wrong"});
    world.accept({.to = {"d@x.test"}, .job = "right"});
    CHECK(world.remove({.job = "wrong"}) == 3);
    world.settle();
    const auto cancelled = world.events(EventType::Cancelled);
    REQUIRE(cancelled.size() == 3);
    CHECK(cancelled[0].reason == "deleted by op: test (order 1)");
    CHECK(world.spool.tasks().size() == 1);
    CHECK(world.spool.messages() == 1);
    world.advance(2h);
    CHECK(world.count(EventType::Expired) == 1);
}

TEST_CASE("delete of what is in flight: the transaction ends, then it is not tried again") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    std::vector<Peer*> waiting;
    host.on_command = [&waiting](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command != ".") return {};
        waiting.push_back(&peer);
        return "";
    };
    world.start();
    world.hand_over({.to = {"a@x.test"}});
    world.hand_over({.to = {"b@x.test"}});
    world.settle();
    REQUIRE(waiting.size() == 2);
    const OrderId order = world.must_give({.action = OrderAction::Delete, .which = {.everything = true}}).id;
    world.advance(1min);
    CHECK_FALSE(world.orders({.id = order})[0].finished_at);
    waiting[0]->say("250 2.0.0 took it\r\n");
    waiting[1]->say("451 4.3.0 no\r\n");
    world.settle();
    CHECK(world.finished(order).recipients == 1);
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(world.count(EventType::Cancelled) == 1);
    CHECK(world.count(EventType::Deferred) == 0);
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("an order that selects nothing is refused") {
    SenderWorld world;
    world.start();
    for (const MailSelector& which :
         {MailSelector{}, MailSelector{.queue = "no-slash"}, MailSelector{.queue = "x.test/v1", .virtual_mta = "v2"}}) {
        const Result<Order> result = world.give({.action = OrderAction::Delete, .which = which});
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error().kind == ErrorKind::InvalidArgument);
    }
}

TEST_CASE("listings show every task with its queue and state") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.route("y.test", "192.0.2.2:25");
    defer_all(world.host("192.0.2.1:25"));
    world.start();
    world.accept({.to = {"a@x.test"}});
    world.pause({.site = "y.test"});
    world.accept({.to = {"b@y.test"}});
    const auto all = world.list({.everything = true}, 10);
    REQUIRE(all.size() == 2);
    for (const QueuedTask& item : all) {
        if (item.queue == "x.test/v1") CHECK(item.state == "waiting");
        if (item.queue == "y.test/v1") CHECK(item.state == "held: paused: by op: maintenance (order 1)");
    }
    world.pause({.site = "x.test"});
    CHECK(world.list({.site = "x.test"}, 1).at(0).state == "waiting, and paused: by op: maintenance (order 2)");
    CHECK(world.list({.everything = true}, 1).size() == 1);
    CHECK(world.list({.recipient = "B@y.test"}, 10).size() == 1);
    CHECK(world.list({.domain = "x.test"}, 10).size() == 1);
    CHECK(world.list({.message = all[0].task.key.message}, 10).size() == 1);
}

TEST_CASE("the status counts what is there and what was done") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.accept({});
    defer_all(world.host("192.0.2.1:25"));
    world.accept({});
    const auto status = world.ask<SenderStatus>([&](auto done) { world.sender->control().status(std::move(done)); });
    CHECK(status.accepted_messages == 2);
    CHECK(status.delivered == 1);
    CHECK(status.deferred == 1);
    CHECK(status.waiting == 1);
    CHECK(status.queued_recipients == 1);
    CHECK(status.queues == 1);
    CHECK(status.connections == 1);
    CHECK(status.spool_condition == "ready");
    CHECK(status.accepted_per_second > 0);
    REQUIRE(status.oldest_queued);
}

TEST_CASE("drain finishes what is in flight, says QUIT, keeps the rest, and takes nothing more") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 2;
    FakeHost& host = world.host("192.0.2.1:25");
    std::vector<Peer*> waiting;
    host.on_command = [&waiting](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command != ".") return {};
        waiting.push_back(&peer);
        return "";
    };
    world.start();
    for (int i = 0; i < 5; ++i) world.hand_over({});
    world.settle();
    REQUIRE(waiting.size() == 2);
    std::optional<Status> drained;
    world.sender->drain(world.executors[0]->now() + 10s,
                        {world.executors[0].get(), [&](Status status) { drained.emplace(std::move(status)); }});
    world.advance(1s);
    CHECK_FALSE(drained);
    CHECK_FALSE(world.sender->handover().admission().open);
    CHECK(world.try_accept({}).error().kind == ErrorKind::Unavailable);
    for (Peer* peer : waiting) peer->say("250 2.0.0 ok\r\n");
    world.advance(1s);
    REQUIRE(drained);
    CHECK(drained->has_value());
    CHECK(host.open == 0);
    CHECK(host.peers[0]->commands.back() == "QUIT");
    CHECK(world.count(EventType::Delivered) == 2);
    CHECK(world.spool.tasks().size() == 3);
}

TEST_CASE("drain ends at its deadline when a peer does not answer") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.host("192.0.2.1:25").on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command == ".") return "";
        return {};
    };
    world.start();
    world.hand_over({});
    world.settle();
    std::optional<Status> drained;
    world.sender->drain(world.executors[0]->now() + 5s,
                        {world.executors[0].get(), [&](Status status) { drained.emplace(std::move(status)); }});
    world.advance(6s);
    REQUIRE(drained);
    CHECK(drained->error().kind == ErrorKind::DeadlineExceeded);
    CHECK(world.spool.tasks().size() == 1);
}

TEST_CASE("accepted is told only when some sink wants it") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.config.reports[0].types = {EventType::Delivered};
    world.start();
    world.accept({});
    CHECK(world.count(EventType::Accepted) == 0);
    CHECK(world.count(EventType::Delivered) == 1);
}
