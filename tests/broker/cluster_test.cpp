// Three RabbitMQ nodes on one machine: leaders die, one node is cut off.
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "postfleet/support/await.hpp"
#include "postfleet/support/broker_session.hpp"
#include "real_broker.hpp"

namespace postfleet::broker_test {

namespace {

using namespace std::chrono_literals;
using support::broker_message;

constexpr auto kLong = std::chrono::seconds(60);

// Publishes everything until it is confirmed and acknowledges what comes.
struct World {
    support::ManualExecutor executor;
    support::BrokerSession session{executor};
    const std::string queue = unique_name("replicated");
    amqp::BrokerOptions options = broker_options();
    std::unique_ptr<amqp::Broker> broker;
    std::unique_ptr<BrokerPublisher> publisher;
    std::unique_ptr<BrokerConsumer> consumer;
    std::set<std::string> arrived;
    std::size_t count = 0, next = 0;

    World() {
        options.heartbeat = 2s;
        options.connect_timeout = 3s;
        options.confirm_timeout = 5s;
        options.topology = {.queues = {{.name = queue, .most_octets = 64 << 20, .delivery_limit = 1000}}};
        broker = std::make_unique<amqp::Broker>(options);
        publisher = broker->publisher();
        consumer = broker->consumer(session.options(queue));
        REQUIRE(support::eventually([&] { return publisher->obstacle().empty(); }, kLong));
    }
    void acknowledge() {
        for (; next < session.got.size(); ++next) {
            arrived.insert(session.got[next].message.message_id);
            consumer->settle(session.got[next].tag, BrokerVerdict::Ack);
        }
    }
    void publish_for_good(const std::string& id) {
        const auto deadline = std::chrono::steady_clock::now() + kLong;
        for (session.answers.erase(id); session.answers[id] != "ok";) {
            session.answers.erase(id);
            session.publish(*publisher, {"", queue}, broker_message(id));
            REQUIRE(executor.run_until([&] { return session.answers.contains(id); }, kLong));
            acknowledge();
            if (session.answers[id] != "ok") std::this_thread::sleep_for(20ms);
            INFO(id << ": " << session.last_error);
            REQUIRE(std::chrono::steady_clock::now() < deadline);
        }
    }
    void publish_some() {
        for (int i = 0; i < 100; ++i) publish_for_good("id-" + std::to_string(count++));
    }
    bool has_everything() {
        return executor.run_until(
            [&] {
                acknowledge();
                return arrived.size() == count;
            },
            kLong);
    }
};

}  // namespace

TEST_CASE("leaders of a replicated queue die one after the other, and nothing confirmed is lost", "[F20]") {
    World world;
    world.publish_some();
    for (int round = 0; round < 3; ++round) {
        const std::string leader = order("leader " + world.queue + " " + std::to_string(round % 3));
        order("kill " + leader);
        world.publish_some();
        order("start " + leader);
        world.publish_some();
    }
    CHECK(world.has_everything());
}

TEST_CASE("a client of a node that is cut off from the others goes to one of them", "[F21]") {
    World world;
    world.publish_some();
    order("isolate 0");  // the first host of the address, where the client is
    world.publish_some();
    CHECK(world.has_everything());
    order("kill 0");
    order("start 0");
    world.publish_some();
    CHECK(world.has_everything());
}

}  // namespace postfleet::broker_test
