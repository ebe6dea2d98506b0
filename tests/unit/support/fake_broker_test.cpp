#include "postfleet/support/fake_broker.hpp"

#include <catch2/catch.hpp>

#include "postfleet/support/manual_executor.hpp"

using namespace postfleet;
using namespace postfleet::support;

namespace {

BrokerMessage message(std::string id, std::string body = "body") {
    BrokerMessage out;
    out.body = std::make_shared<const std::string>(std::move(body));
    out.message_id = std::move(id);
    return out;
}

struct World {
    ManualExecutor executor;
    FakeBroker broker;
    std::unique_ptr<BrokerPublisher> publisher = broker.publisher();
    std::vector<std::string> answers;
    std::vector<BrokerDelivery> got;

    World() { broker.declare_queue("q"); }

    void publish(std::string id, BrokerAddress to = {"", "q"}) {
        publisher->publish(
            std::move(to), message(std::move(id)),
            {&executor, [this](Status status) { answers.push_back(status ? "ok" : to_string(status.error().kind)); }});
    }
    std::unique_ptr<BrokerConsumer> consume(std::string queue, std::uint32_t most = 10,
                                            std::uint64_t octets = 1 << 20) {
        BrokerConsumerOptions options;
        options.queue = std::move(queue);
        options.most_unsettled = most;
        options.most_octets = octets;
        options.on = &executor;
        options.deliver = [this](BrokerDelivery&& delivery) { got.push_back(std::move(delivery)); };
        return broker.consumer(std::move(options));
    }
    std::vector<std::string> ids() const {
        std::vector<std::string> out;
        for (const auto& delivery : got) out.push_back(delivery.message.message_id);
        return out;
    }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("the fake broker routes by queue name and by topic, and returns what has no queue") {
    World world;
    world.broker.bind("reports", "email.*.acme.#", "q");
    world.publish("1");
    world.publish("2", {"reports", "email.bounced.acme.bulk"});
    world.publish("3", {"reports", "email.bounced.other.bulk"});
    world.executor.run_until_idle();
    CHECK(world.answers == Texts{"ok", "ok", to_string(ErrorKind::NotFound)});
    CHECK(world.broker.waiting("q").size() == 2);
    CHECK(world.broker.published().size() == 3);
}

TEST_CASE("the fake broker confirms late, loses confirms, refuses, and has full queues") {
    World world;
    world.broker.set_confirms(FakeBroker::Confirms::Hold);
    world.publish("1");
    world.executor.run_until_idle();
    CHECK(world.answers.empty());
    CHECK(world.broker.held_confirms() == 1);
    world.broker.release_confirms();
    world.publish("2");
    world.broker.lose_connections();
    world.broker.set_confirms(FakeBroker::Confirms::Lost);
    world.publish("3");
    world.broker.set_confirms(FakeBroker::Confirms::Refused);
    world.publish("4");
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.broker.declare_queue("small", {.most_octets = 0});
    world.publish("5", {"", "small"});
    world.executor.run_until_idle();
    const std::string unknown = to_string(ErrorKind::DeadlineExceeded);
    CHECK(world.answers ==
          Texts{"ok", unknown, unknown, to_string(ErrorKind::Unavailable), to_string(ErrorKind::Unavailable)});
    CHECK(world.broker.waiting("q").size() == 3);
}

TEST_CASE("a publisher of the fake broker has a bound on what waits for confirms") {
    World world;
    world.publisher = world.broker.publisher(1);
    world.broker.set_confirms(FakeBroker::Confirms::Hold);
    world.publish("1");
    world.publish("2");
    world.executor.run_until_idle();
    CHECK(world.answers == Texts{to_string(ErrorKind::ResourceExhausted)});
}

TEST_CASE("a consumer of the fake broker gets as much as it may have unsettled, and more as it settles") {
    World world;
    for (const auto* id : {"1", "2", "3"}) world.publish(id);
    const auto consumer = world.consume("q", 2);
    world.executor.run_until_idle();
    CHECK(world.ids() == Texts{"1", "2"});
    consumer->settle(world.got[0].tag, BrokerVerdict::Ack);
    world.executor.run_until_idle();
    CHECK(world.ids() == Texts{"1", "2", "3"});
    CHECK(world.broker.unsettled("q") == 2);
}

TEST_CASE("the octets of unsettled deliveries are bounded, and one is always given out") {
    World world;
    for (const auto* id : {"1", "2"}) world.publish(id);
    const auto consumer = world.consume("q", 10, 1);
    world.executor.run_until_idle();
    CHECK(world.ids() == Texts{"1"});
}

TEST_CASE("what the fake broker gave out and was not settled comes again, with its count") {
    World world;
    world.publish("1");
    world.publish("2");
    const auto consumer = world.consume("q");
    world.executor.run_until_idle();
    consumer->settle(world.got[0].tag, BrokerVerdict::Ack);
    world.broker.go_away("away");
    CHECK(world.publisher->obstacle() == "away");
    CHECK(consumer->obstacle() == "away");
    consumer->settle(world.got[1].tag, BrokerVerdict::Ack);  // too late
    world.publish("3");
    world.executor.run_until_idle();
    CHECK(world.answers.back() == to_string(ErrorKind::Unavailable));
    world.broker.come_back();
    world.executor.run_until_idle();
    REQUIRE(world.ids() == Texts{"1", "2", "2"});
    CHECK(world.got[2].is_redelivered);
    CHECK(world.got[2].delivery_count == 1);
    CHECK(world.got[2].tag != world.got[1].tag);
}

TEST_CASE("rejected and often returned messages go where the queue's dead letters go") {
    World world;
    world.broker.declare_queue("dead");
    world.broker.bind("dlx", "#", "dead");
    world.broker.declare_queue("q", {.delivery_limit = 1, .dead_letter_exchange = "dlx"});
    world.publish("1");
    world.publish("2");
    const auto consumer = world.consume("q");
    world.executor.run_until_idle();
    consumer->settle(world.got[0].tag, BrokerVerdict::Reject);
    consumer->settle(world.got[1].tag, BrokerVerdict::Requeue);
    world.executor.run_until_idle();
    consumer->settle(world.got[2].tag, BrokerVerdict::Requeue);
    const auto dead = world.broker.waiting("dead");
    REQUIRE(dead.size() == 2);
    CHECK(dead[0].headers[0] == std::pair<std::string, std::string>("x-first-death-reason", "rejected"));
    CHECK(dead[1].headers[0].second == "delivery_limit");
}

TEST_CASE("a paused consumer gets only what was on its way, a stopped one gives back what it has") {
    World world;
    const auto consumer = world.consume("q");
    world.publish("1");
    consumer->pause();
    world.publish("2");
    world.executor.run_until_idle();
    CHECK(world.ids() == Texts{"1"});
    CHECK(world.broker.waiting("q").size() == 1);
    consumer->resume();
    world.executor.run_until_idle();
    CHECK(world.ids() == Texts{"1", "2"});
    CHECK_FALSE(world.got[1].is_redelivered);
    bool stopped = false;
    consumer->stop({&world.executor, [&](Status status) { stopped = status.has_value(); }});
    world.executor.run_until_idle();
    CHECK(stopped);
    CHECK(world.broker.waiting("q").size() == 2);
}

TEST_CASE("a consumer of the fake broker is told that its connection was lost, before what comes again") {
    World world;
    Texts told;
    BrokerConsumerOptions options;
    options.queue = "q";
    options.on = &world.executor;
    options.deliver = [&](BrokerDelivery&& delivery) { told.push_back(delivery.message.message_id); };
    options.lost = [&] { told.emplace_back("lost"); };
    const auto consumer = world.broker.consumer(std::move(options));
    world.publish("1");
    world.executor.run_until_idle();
    world.broker.lose_connections();
    world.executor.run_until_idle();
    CHECK(told == Texts{"1", "lost", "1"});
}
