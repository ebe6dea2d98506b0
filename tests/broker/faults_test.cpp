// A real RabbitMQ that dies, stands still, is short of memory, or is changed under our hands.
#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <thread>

#include "postfleet/support/await.hpp"
#include "postfleet/support/broker_session.hpp"
#include "postfleet/support/temporary_directory.hpp"
#include "real_broker.hpp"

namespace postfleet::broker_test {

namespace {

using namespace std::chrono_literals;
using support::broker_message;
using support::BrokerSession;
using support::eventually;

constexpr auto kLong = std::chrono::seconds(60);

wire::BrokerTopology one_queue(const std::string& name, std::uint64_t most_octets = 64 << 20) {
    return {.queues = {{.name = name, .most_octets = most_octets, .delivery_limit = 100}}};
}

struct World {
    support::ManualExecutor executor;
    BrokerSession session{executor};
    std::string queue = unique_name("faults");
    amqp::BrokerOptions options = broker_options();
    Metrics metrics;
    std::unique_ptr<amqp::Broker> broker;
    std::unique_ptr<BrokerPublisher> publisher;

    World() {
        options.topology = one_queue(queue);
        options.metrics = &metrics;
    }
    void open() {
        broker = std::make_unique<amqp::Broker>(options);
        publisher = broker->publisher();
        wait_until_ready();
    }
    void wait_until_ready() {
        INFO(publisher->obstacle());
        REQUIRE(eventually([&] { return publisher->obstacle().empty(); }, kLong));
    }
    bool wait_for_obstacle(const std::string& part) {
        const bool came = eventually([&] { return publisher->obstacle().find(part) != std::string::npos; }, kLong);
        INFO(publisher->obstacle());
        CHECK(came);
        return came;
    }
    void publish(const std::string& id, std::string body = "body") {
        session.publish(*publisher, {"", queue}, broker_message(id, std::move(body)));
    }
    // Publishes until it is confirmed, as every user of the port does.
    void publish_for_good(const std::string& id) {
        for (session.answers.erase(id); session.answers[id] != "ok";) {
            session.answers.erase(id);
            publish(id);
            REQUIRE(executor.run_until([&] { return session.answers.contains(id); }, kLong));
            if (session.answers[id] != "ok") std::this_thread::sleep_for(10ms);
        }
    }
};

}  // namespace

TEST_CASE("a broker that is killed loses nothing that it has confirmed, and both sides come back",
          "[RMQ-13][RMQ-15][F19]") {
    World world;
    world.open();
    world.publish_for_good("first");
    std::set<std::string> settled;
    std::size_t lost = 0;
    auto options = world.session.options(world.queue);
    options.most_unsettled = 10;
    options.lost = [&] { ++lost; };
    const auto consumer = world.broker->consumer(std::move(options));
    REQUIRE(world.session.wait_for_messages(1, kLong));

    std::atomic<bool> is_dead{false};
    std::thread killer([&] {
        order("kill");
        is_dead.store(true);
    });
    int count = 0;
    for (; !is_dead.load() && count < 20'000; ++count) {
        world.publish("id-" + std::to_string(count));
        world.executor.run_until_idle();
        std::this_thread::sleep_for(100us);
    }
    killer.join();
    REQUIRE(world.session.wait_for_answers(static_cast<std::size_t>(count) + 1, kLong));
    world.wait_for_obstacle("cannot connect");
    world.publish("while away");
    REQUIRE(world.executor.run_until([&] { return world.session.answers.contains("while away"); }, kLong));
    CHECK(world.session.answers["while away"] == to_string(ErrorKind::Unavailable));
    order("start");
    world.wait_until_ready();
    for (int i = 0; i < count; ++i) {
        const std::string id = "id-" + std::to_string(i);
        if (world.session.answers[id] != "ok") world.publish_for_good(id);
    }
    std::size_t next = 0;
    const bool complete = world.executor.run_until(
        [&] {
            for (; next < world.session.got.size(); ++next) {
                settled.insert(world.session.got[next].message.message_id);
                consumer->settle(world.session.got[next].tag, BrokerVerdict::Ack);
            }
            return settled.size() >= static_cast<std::size_t>(count) + 1;
        },
        kLong);
    CHECK(complete);
    CHECK(lost == 1);
}

TEST_CASE("a broker that stands still is noticed by its missing heartbeats", "[RMQ-2][F22]") {
    World world;
    world.options.heartbeat = 1s;
    world.options.connect_timeout = 1s;
    world.open();
    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    REQUIRE(eventually([&] { return consumer->obstacle().empty(); }, kLong));
    order("pause");
    world.publish("unknown");
    REQUIRE(world.session.wait_for_answers(1, kLong));
    CHECK(world.session.answers["unknown"] == to_string(ErrorKind::DeadlineExceeded));
    CHECK(eventually([&] { return !consumer->obstacle().empty(); }, kLong));
    order("resume");
    world.wait_until_ready();
    CHECK(eventually([&] { return consumer->obstacle().empty(); }, kLong));
    world.publish_for_good("after");
}

TEST_CASE("a confirm that does not come in time ends the connection", "[RMQ-13]") {
    World world;
    world.options.confirm_timeout = 1s;
    world.options.connect_timeout = 1s;
    world.open();
    order("pause");
    world.publish("unknown");
    REQUIRE(world.session.wait_for_answers(1, kLong));
    CHECK(world.session.answers["unknown"] == to_string(ErrorKind::DeadlineExceeded));
    world.wait_for_obstacle("cannot");
    order("resume");
    world.wait_until_ready();
    world.publish_for_good("after");
}

TEST_CASE("a write that hangs in the library is ended from outside", "[RMQ-3]") {
    World world;
    world.options.stall_timeout = 1s;
    world.options.connect_timeout = 1s;
    world.open();
    order("pause");
    // More than all buffers on the way take.
    for (int i = 0; i < 8; ++i) world.publish("large-" + std::to_string(i), std::string(8 << 20, 'x'));
    REQUIRE(world.session.wait_for_answers(8, kLong));
    for (const auto& [id, answer] : world.session.answers) CHECK(answer != "ok");
    order("resume");
    world.wait_until_ready();
    world.publish_for_good("after");
}

TEST_CASE("a broker that is short of memory says so, and takes again afterwards", "[RMQ-3][RMQ-5][F23]") {
    World world;
    world.open();
    world.publish_for_good("before");
    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    REQUIRE(world.session.wait_for_messages(1, kLong));
    order("raise_memory_alarm");
    world.publish("blocked");  // the broker tells those who publish
    world.wait_for_obstacle("the broker takes nothing");
    world.publish("refused");
    REQUIRE(world.executor.run_until([&] { return world.session.answers.contains("refused"); }, kLong));
    CHECK(world.session.answers["refused"] == to_string(ErrorKind::Unavailable));
    consumer->settle(world.session.got[0].tag, BrokerVerdict::Ack);
    CHECK(consumer->obstacle().empty());
    order("clear_memory_alarm");
    world.wait_until_ready();
    world.publish_for_good("after");
    CHECK(world.session.wait_for_messages(2, kLong));
}

TEST_CASE("a queue that is deleted under its consumer is made anew and consumed again", "[RMQ-5][RMQ-15][F25]") {
    World world;
    world.open();
    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    world.publish_for_good("before");
    REQUIRE(world.session.wait_for_messages(1, kLong));
    order("ctl delete_queue " + world.queue);
    world.publish_for_good("after");
    CHECK(world.session.wait_for_messages(2, kLong));
}

TEST_CASE("a queue that is deleted under its publisher is made anew", "[RMQ-12][F25]") {
    World world;
    world.open();
    world.publish_for_good("before");
    order("ctl delete_queue " + world.queue);
    world.publish("lost");
    REQUIRE(world.session.wait_for_answers(2, kLong));
    CHECK(world.session.answers["lost"] == to_string(ErrorKind::NotFound));
    world.publish_for_good("after");
    CHECK(world.publisher->obstacle().empty());
}

TEST_CASE("connections that an administrator closes are made again", "[RMQ-6][RMQ-15]") {
    World world;
    world.open();
    order("close_connections");
    world.publish_for_good("after");
    world.wait_until_ready();
}

TEST_CASE("a queue with other limits is used, one of another nature is an obstacle with a reason", "[RMQ-19][F26]") {
    World world;
    world.open();
    auto options = broker_options();
    options.topology = one_queue(world.queue, 1 << 20);
    amqp::Broker smaller(options);
    const auto uses_it = smaller.publisher();
    CHECK(eventually([&] { return uses_it->obstacle().empty(); }, kLong));

    options.topology.queues[0].when_full = wire::WhenFull::DropOldest;
    options.topology.queues[0].most_octets = 64 << 20;
    amqp::Broker other(options);
    const auto refuses = other.publisher();
    const std::string reason = "is not as Postfleet needs it";
    CHECK(eventually([&] { return refuses->obstacle().find(reason) != std::string::npos; }, kLong));
    CHECK(world.publisher->obstacle().empty());
}

TEST_CASE("declarations are added while connections are up", "[RMQ-15]") {
    World world;
    world.open();
    const std::string added = unique_name("added");
    world.broker->declare(one_queue(added));
    std::string answer;
    for (int i = 0; answer != "ok" && i < 1000; ++i) {
        world.session.answers.clear();
        world.session.publish(*world.publisher, {"", added}, broker_message("new"));
        REQUIRE(world.session.wait_for_answers(1, kLong));
        answer = world.session.answers["new"];
        if (answer != "ok") std::this_thread::sleep_for(10ms);
    }
    CHECK(answer == "ok");
}

TEST_CASE("what is declared while connections are up, and refused, costs no confirm and no delivery",
          "[RMQ-12][RMQ-15]") {
    World world;
    // Nothing that the clients would do about a channel that has gone.
    world.options.confirm_timeout = world.options.stuck_after = 10min;
    auto options = broker_options();
    const std::string theirs = unique_name("theirs");
    options.topology = one_queue(theirs);
    amqp::Broker other(options);
    const auto made_it = other.publisher();
    REQUIRE(eventually([&] { return made_it->obstacle().empty(); }, kLong));

    world.open();
    const auto consumer = world.broker->consumer(world.session.options(world.queue));
    world.publish_for_good("before");
    REQUIRE(world.session.wait_for_messages(1, kLong));
    const std::string added = unique_name("added");
    auto topology = one_queue(theirs, 1 << 20);  // which RabbitMQ answers by closing the channel
    topology += one_queue(added);
    world.broker->declare(topology);
    while (world.session.answers["new"] != "ok") {  // until it is declared
        world.session.answers.erase("new");
        world.session.publish(*world.publisher, {"", added}, broker_message("new"));
        REQUIRE(world.executor.run_until([&] { return world.session.answers.contains("new"); }, kLong));
        if (world.session.answers["new"] != "ok") std::this_thread::sleep_for(10ms);
    }
    world.publish_for_good("after");
    CHECK(world.session.wait_for_messages(2, kLong));
    CHECK(world.publisher->obstacle().empty());
    CHECK(consumer->obstacle().empty());
}

TEST_CASE("a message larger than the broker takes fails alone, and is not tried a second time", "[RMQ-14][F29]") {
    World world;  // the launcher has set the broker's limit to 1,000,000
    world.open();
    world.publish("large", std::string(1'500'000, 'x'));
    REQUIRE(world.session.wait_for_answers(1, kLong));
    CHECK(world.session.answers["large"] == to_string(ErrorKind::InvalidArgument));
    world.publish_for_good("small");
    world.publish("large again", std::string(1'500'000, 'x'));
    REQUIRE(world.executor.run_until([&] { return world.session.answers.contains("large again"); }, kLong));
    CHECK(world.session.answers["large again"] == to_string(ErrorKind::InvalidArgument));
    CHECK(world.publisher->obstacle().empty());
}

TEST_CASE("what waits to be published is bounded", "[RMQ-3]") {
    World world;
    world.broker = std::make_unique<amqp::Broker>(world.options);
    world.publisher = world.broker->publisher({.most_waiting = 3, .linger = 2s});
    world.wait_until_ready();
    for (int i = 0; i < 4; ++i) world.publish("id-" + std::to_string(i));
    REQUIRE(world.session.wait_for_answers(4, kLong));
    CHECK(world.session.answers["id-3"] == to_string(ErrorKind::ResourceExhausted));
    CHECK(world.session.answers["id-2"] == "ok");
}

TEST_CASE("a password that changes is read again from its file; a wrong one is a reason", "[F62]") {
    World world;
    const support::TemporaryDirectory directory;
    const std::string user = unique_name("user"), file = directory.file("password");
    order("ctl add_user " + user + " first");
    order("ctl set_permissions " + user + " .* .* .*");
    const auto write = [&](const char* password) { std::ofstream(file) << password << "\n"; };
    write("wrong");
    world.options.access.url.user = user;
    world.options.access.password_file = file;
    world.broker = std::make_unique<amqp::Broker>(world.options);
    world.publisher = world.broker->publisher();
    world.wait_for_obstacle("cannot log in as " + user);
    CHECK(world.publisher->obstacle().find("wrong") == std::string::npos);
    write("first");
    world.wait_until_ready();
    order("ctl change_password " + user + " second");
    write("second");
    order("close_connections");
    world.publish_for_good("after");
}

TEST_CASE("hosts are tried in turn", "[RMQ-15]") {
    World world;
    auto& hosts = world.options.access.url.hosts;
    hosts.insert(hosts.begin(), {"127.0.0.1", 1});
    world.open();
    world.publish_for_good("found");
}

TEST_CASE("TLS is verified: authority and name", "[RMQ-8]") {
    World world;
    const auto url = BrokerUrl::parse(test_variable("POSTFLEET_TEST_AMQPS_URL"));
    REQUIRE(url);
    const std::string folder = test_variable("POSTFLEET_TEST_CERTIFICATES");
    world.options.access.url = *url;
    world.options.access.ca_file = folder + "/ca.pem";
    world.options.access.certificate = folder + "/client.pem";
    world.options.access.private_key = folder + "/client.key";
    world.open();
    world.publish_for_good("encrypted");

    auto options = world.options;
    options.access.url.hosts[0].name = "2130706433";  // 127.0.0.1 to the resolver, another name to the certificate
    amqp::Broker misnamed(options);
    const auto other_name = misnamed.publisher();
    CHECK(eventually([&] { return other_name->obstacle().find("cannot connect") != std::string::npos; }, kLong));
    INFO(other_name->obstacle());

    options = world.options;
    options.access.ca_file = folder + "/server.pem";
    amqp::Broker untrusted(options);
    const auto other_authority = untrusted.publisher();
    CHECK(eventually([&] { return other_authority->obstacle().find("cannot connect") != std::string::npos; }, kLong));

    options.access.ca_file = folder + "/missing.pem";
    amqp::Broker unreadable(options);
    const auto no_authority = unreadable.publisher();
    CHECK(eventually([&] { return no_authority->obstacle().find("cannot read the authorities") != std::string::npos; },
                     kLong));
}

}  // namespace postfleet::broker_test
