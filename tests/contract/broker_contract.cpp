#include "broker_contract.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "postfleet/support/await.hpp"
#include "postfleet/support/broker_session.hpp"

namespace postfleet::contract {

namespace {

using support::broker_message;
using support::BrokerSession;
using Texts = std::vector<std::string>;
using Make = std::function<std::unique_ptr<BrokerUnderTest>()>;

struct World {
    std::unique_ptr<BrokerUnderTest> broker;
    BrokerSession session;
    std::string queue, dead, exchange, dead_exchange;
    std::unique_ptr<BrokerPublisher> publisher;

    explicit World(const Make& make, std::uint64_t most_octets = 1 << 20)
        : broker(make()),
          session(broker->executor),
          queue(broker->unique("mail")),
          dead(broker->unique("dead")),
          exchange(broker->unique("topic")),
          dead_exchange(broker->unique("dlx")) {
        wire::BrokerTopology topology;
        topology.exchanges = {{exchange, wire::BrokerExchange::Kind::Topic},
                              {dead_exchange, wire::BrokerExchange::Kind::Fanout}};
        topology.queues = {
            {.name = queue, .most_octets = most_octets, .delivery_limit = 3, .dead_letter_exchange = dead_exchange},
            {.name = dead, .most_octets = 1 << 20, .delivery_limit = 100}};
        topology.bindings = {{exchange, "email.*.acme.#", queue}, {dead_exchange, "", dead}};
        broker->declare(topology);
        publisher = broker->publisher();
        REQUIRE(support::eventually([&] { return publisher->obstacle().empty(); }));
    }
    void publish(const std::string& id, const std::string& body = "body") {
        session.publish(*publisher, {"", queue}, broker_message(id, body));
    }
};

void check_delivery(const Make& make) {
    World world(make);
    auto message = broker_message("id-1", std::string("b\0dy", 4));
    message.content_type = "text/plain";
    message.content_encoding = "identity";
    message.type = "kind";
    message.correlation_id = "correlation";
    message.reply_to = "reply";
    message.headers = {{"empty", ""}, {"job", "spring"}};
    world.session.publish(*world.publisher, {world.exchange, "email.bounced.acme.bulk"}, message);
    REQUIRE(world.session.wait_for_answers(1));
    CHECK(world.session.answers["id-1"] == "ok");

    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    REQUIRE(world.session.wait_for_messages(1));
    const auto& got = world.session.got[0];
    CHECK(*got.message.body == std::string("b\0dy", 4));
    CHECK(got.message.message_id == "id-1");
    CHECK(got.message.content_type == "text/plain");
    CHECK(got.message.content_encoding == "identity");
    CHECK(got.message.type == "kind");
    CHECK(got.message.correlation_id == "correlation");
    CHECK(got.message.reply_to == "reply");
    BrokerHeaders headers = got.message.headers;
    std::sort(headers.begin(), headers.end());  // RabbitMQ 4 does
    CHECK(headers == message.headers);
    CHECK(got.from.exchange == world.exchange);
    CHECK(got.from.routing_key == "email.bounced.acme.bulk");
    CHECK_FALSE(got.is_redelivered);
    CHECK(got.delivery_count == 0);
    CHECK(consumer->obstacle().empty());
}

void check_what_cannot_be_published(const Make& make) {
    World world(make);
    world.publish("before");
    world.session.publish(*world.publisher, {world.exchange, "nobody"}, broker_message("lost"));
    world.session.publish(*world.publisher, {"", world.broker->unique("no-queue")}, broker_message("lost-too"));
    world.session.publish(*world.publisher, {"", world.queue}, broker_message(""));
    world.publish("after");
    REQUIRE(world.session.wait_for_answers(5));
    CHECK(world.session.answers["before"] == "ok");
    CHECK(world.session.answers["after"] == "ok");
    CHECK(world.session.answers["lost"] == to_string(ErrorKind::NotFound));
    CHECK(world.session.answers["lost-too"] == to_string(ErrorKind::NotFound));
    CHECK(world.session.answers[""] == to_string(ErrorKind::InvalidArgument));
}

void check_order_and_prefetch(const Make& make) {
    World world(make);
    Texts ids;
    for (int i = 0; i < 20; ++i) {
        ids.push_back("id-" + std::to_string(i));
        world.publish(ids.back());
    }
    REQUIRE(world.session.wait_for_answers(20));
    auto options = world.session.options(world.queue);
    options.most_unsettled = 4;
    const auto consumer = world.broker->consumer(std::move(options));
    REQUIRE(world.session.wait_for_messages(4));
    for (std::size_t next = 0; next < 20; ++next) {
        REQUIRE(world.session.wait_for_messages(next + 1));
        CHECK(world.session.got.size() <= next + 4);
        consumer->settle(world.session.got[next].tag, BrokerVerdict::Ack);
    }
    CHECK(world.session.ids() == ids);
}

void check_verdicts(const Make& make) {
    World world(make);
    for (const auto* id : {"ack", "requeue", "reject"}) world.publish(id);
    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    REQUIRE(world.session.wait_for_messages(3));
    consumer->settle(world.session.got[0].tag, BrokerVerdict::Ack);
    consumer->settle(world.session.got[1].tag, BrokerVerdict::Requeue);
    consumer->settle(world.session.got[2].tag, BrokerVerdict::Reject);
    consumer->settle(world.session.got[0].tag, BrokerVerdict::Reject);  // settled already
    consumer->settle(12345, BrokerVerdict::Ack);                        // nobody's
    REQUIRE(world.session.wait_for_messages(4));
    CHECK(world.session.got[3].message.message_id == "requeue");
    CHECK(world.session.got[3].is_redelivered);
    CHECK(world.session.got[3].delivery_count == 1);
    CHECK(world.session.got[3].tag != world.session.got[1].tag);
    consumer->settle(world.session.got[3].tag, BrokerVerdict::Ack);

    const auto dead = world.broker->consumer(world.session.options(world.dead));
    REQUIRE(world.session.wait_for_messages(5));
    CHECK(world.session.got[4].message.message_id == "reject");
    const auto& headers = world.session.got[4].message.headers;
    const std::pair<std::string, std::string> reason("x-first-death-reason", "rejected");
    CHECK(std::find(headers.begin(), headers.end(), reason) != headers.end());
}

void check_delivery_limit(const Make& make) {
    World world(make);
    world.publish("poison");
    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    for (std::size_t count = 1; count <= 4; ++count) {
        REQUIRE(world.session.wait_for_messages(count));
        CHECK(world.session.got[count - 1].delivery_count == count - 1);
        consumer->settle(world.session.got[count - 1].tag, BrokerVerdict::Requeue);
    }
    const auto dead = world.broker->consumer(world.session.options(world.dead));
    REQUIRE(world.session.wait_for_messages(5));
    CHECK(world.session.got[4].from.exchange == world.dead_exchange);
}

void check_stop(const Make& make) {
    World world(make);
    for (const auto* id : {"kept", "acked"}) world.publish(id);
    const auto first = world.broker->consumer(world.session.options(world.queue));
    REQUIRE(world.session.wait_for_messages(2));
    first->settle(world.session.got[1].tag, BrokerVerdict::Ack);
    REQUIRE(world.session.stop(*first));
    world.publish("later");
    REQUIRE(world.session.wait_for_answers(3));
    CHECK(world.session.got.size() == 2);
    const auto second = world.broker->consumer(world.session.options(world.queue));
    REQUIRE(world.session.wait_for_messages(4));
    auto ids = world.session.ids();
    std::sort(ids.begin() + 2, ids.end());
    CHECK(Texts(ids.begin() + 2, ids.end()) == Texts{"kept", "later"});
    first->settle(world.session.got[0].tag, BrokerVerdict::Ack);  // too late: nothing
}

void check_pause(const Make& make) {
    World world(make);
    auto options = world.session.options(world.queue);
    options.most_unsettled = 1;
    const auto consumer = world.broker->consumer(std::move(options));
    world.publish("one");
    REQUIRE(world.session.wait_for_messages(1));
    consumer->pause();
    consumer->settle(world.session.got[0].tag, BrokerVerdict::Ack);
    // Another consumer gets what the paused one does not take; one message may have been on its way.
    for (int i = 0; i < 20; ++i) world.publish("more-" + std::to_string(i));
    REQUIRE(world.session.wait_for_answers(21));
    BrokerSession other(world.broker->executor);
    auto rest = world.broker->consumer(other.options(world.queue));
    REQUIRE(other.wait_for_messages(19));
    CHECK(world.session.got.size() <= 2);
    REQUIRE(other.stop(*rest));  // gives all of it back
    consumer->resume();
    const std::size_t before = world.session.got.size();
    if (before == 2) consumer->settle(world.session.got[1].tag, BrokerVerdict::Ack);
    CHECK(world.session.wait_for_messages(before + 1));
}

void check_full_queue(const Make& make) {
    World world(make, 2000);
    const std::string refused = to_string(ErrorKind::Unavailable);
    std::size_t count = 0;
    for (bool is_full = false; !is_full && count < 200; ++count) {
        world.publish("id-" + std::to_string(count), std::string(500, 'x'));
        REQUIRE(world.session.wait_for_answers(count + 1));
        is_full = world.session.answers["id-" + std::to_string(count)] == refused;
    }
    CHECK(world.session.answers["id-" + std::to_string(count - 1)] == refused);
    CHECK(world.publisher->obstacle().empty());
    // What it took is there, and there is room again afterwards.
    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    REQUIRE(world.session.wait_for_messages(count - 1));
    for (const auto& delivery : world.session.got) consumer->settle(delivery.tag, BrokerVerdict::Ack);
    for (std::size_t again = 0; again < 2000 && world.session.answers["again"] != "ok"; ++again) {
        world.session.answers.erase("again");
        world.publish("again");
        REQUIRE(world.broker->executor.run_until([&] { return world.session.answers.contains("again"); }));
        if (world.session.answers["again"] != "ok") std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(world.session.answers["again"] == "ok");
}

void check_many_within_a_byte_budget(const Make& make) {
    World world(make, 64 << 20);
    constexpr std::size_t kMessages = 500, kOctets = 10'000;
    for (std::size_t i = 0; i < kMessages; ++i) world.publish("id-" + std::to_string(i), std::string(kOctets, 'x'));
    REQUIRE(world.session.wait_for_answers(kMessages));
    for (const auto& [id, answer] : world.session.answers) CHECK(answer == "ok");
    auto options = world.session.options(world.queue);
    options.most_unsettled = 100;
    options.most_octets = 5 * kOctets;
    const auto consumer = world.broker->consumer(std::move(options));
    for (std::size_t next = 0; next < kMessages; ++next) {
        REQUIRE(world.session.wait_for_messages(next + 1));
        CHECK(world.session.got.size() - next <= 5);
        consumer->settle(world.session.got[next].tag, BrokerVerdict::Ack);
    }
    auto ids = world.session.ids();
    std::sort(ids.begin(), ids.end());
    CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
}

}  // namespace

void broker_contract(const Make& make) {
    SECTION("a confirmed message is delivered as it was published") { check_delivery(make); }
    SECTION("what no queue takes comes back, and its neighbours do not (RMQ-12)") {
        check_what_cannot_be_published(make);
    }
    SECTION("messages come in order, and no more of them than may be unsettled (RMQ-16)") {
        check_order_and_prefetch(make);
    }
    SECTION("acked is gone, requeued comes again, rejected is put aside (RMQ-18)") { check_verdicts(make); }
    SECTION("what comes back too often is put aside (RMQ-19)") { check_delivery_limit(make); }
    SECTION("a stopped consumer keeps what it acknowledged and gives back the rest") { check_stop(make); }
    SECTION("a paused consumer asks for nothing until it is resumed") { check_pause(make); }
    SECTION("a full queue refuses, keeps what it has, and takes again when there is room (RMQ-13, F24)") {
        check_full_queue(make);
    }
    SECTION("the octets of unsettled messages are bounded, and everything comes once") {
        check_many_within_a_byte_budget(make);
    }
}

}  // namespace postfleet::contract
