// Limits that several queues share, measured at the receiving side (P7).

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr int kDomains = 4;

std::string endpoint(int number) { return "192.0.2." + std::to_string(number) + ":25"; }

// d1.test … d4.test, each at an address of its own; each takes `delay` to take a message.
void route_domains(SenderWorld& world, Duration delay = {}) {
    for (int i = 1; i <= kDomains; ++i) {
        world.route("d" + std::to_string(i) + ".test", endpoint(i));
        if (delay == Duration::zero()) continue;
        world.host(endpoint(i)).on_command = [&world, delay](Peer& peer,
                                                             const std::string& command) -> std::optional<std::string> {
            if (command != ".") return {};
            ManualExecutor& clock = *world.executors[0];
            clock.schedule_at(clock.now() + delay, [&peer] { peer.say("250 2.0.0 queued\r\n"); });
            return "";
        };
    }
}

void send_to_all(SenderWorld& world, int each, const Mail& mail = {}) {
    for (int n = 0; n < each; ++n) {
        for (int i = 1; i <= kDomains; ++i) {
            Mail one = mail;
            one.to = {"a@d" + std::to_string(i) + ".test"};
            world.hand_over(one);
        }
    }
}

unsigned open_everywhere(SenderWorld& world) {
    unsigned open = 0;
    for (int i = 1; i <= kDomains; ++i) open += world.host(endpoint(i)).open;
    return open;
}

std::vector<SteadyTime> recipients_everywhere(SenderWorld& world) {
    std::vector<SteadyTime> all;
    for (int i = 1; i <= kDomains; ++i) {
        for (const auto& [at, command] : world.host(endpoint(i)).recipients_seen) all.push_back(at);
    }
    std::sort(all.begin(), all.end());
    return all;
}

void check_rate(const std::vector<SteadyTime>& at, Duration interval) {
    for (std::size_t i = 0; i < at.size(); ++i) {
        for (std::size_t j = i + 1; j < at.size(); ++j) {
            REQUIRE(static_cast<Duration::rep>(j - i + 1) <= (at[j] - at[i]) / interval + 1);
        }
    }
}

// In every window: at most rate × window octets, and one message.
void check_data(SenderWorld& world, std::uint64_t octets_per_second) {
    std::vector<std::pair<SteadyTime, std::uint64_t>> all;
    for (int i = 1; i <= kDomains; ++i) {
        for (const Delivery& delivery : world.host(endpoint(i)).deliveries) {
            all.emplace_back(delivery.at, delivery.content.size());
        }
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::uint64_t sum = 0;
        for (std::size_t j = i; j < all.size(); ++j) {
            const double window = std::chrono::duration<double>(all[j].first - all[i].first).count();
            REQUIRE(static_cast<double>(sum) <= window * static_cast<double>(octets_per_second));
            sum += all[j].second;
        }
    }
}

void run_until_delivered(SenderWorld& world, std::size_t count, unsigned most_open) {
    for (int step = 0; step < 6000 && world.count(EventType::Delivered) < count; ++step) {
        world.advance(10ms);
        REQUIRE(open_everywhere(world) <= most_open);
    }
    CHECK(world.count(EventType::Delivered) == count);
}

}  // namespace

TEST_CASE("connections in total never exceed outbound.max_connections, and everybody gets one", "[P7]") {
    SenderWorld world;
    route_domains(world, 50ms);
    world.config.outbound.total.max_connections = 2;
    world.start();
    send_to_all(world, 20);
    run_until_delivered(world, 80, 2);
}

TEST_CASE("a queue that always has mail makes room for one that has no connection", "[P6]") {
    SenderWorld world;
    route_domains(world, 50ms);
    world.config.outbound.total.max_connections = 2;
    world.start();
    for (int n = 0; n < 400; ++n) world.hand_over({.to = {"a@d1.test"}});
    world.advance(1s);
    CHECK(world.queue("d1.test/v1").connections == 2);
    world.accept({.to = {"a@d2.test"}});
    CHECK(world.queue("d2.test/v1").hold_reason == "connection limit of all delivery");
    world.advance(1s);
    const auto delivered = world.events(EventType::Delivered);
    CHECK(std::any_of(delivered.begin(), delivered.end(), [](const Event& e) { return e.recipient == "a@d2.test"; }));
    CHECK(delivered.size() < 200);  // the other one is not done
}

TEST_CASE("the limits of a provider hold over all virtual MTAs", "[P7]") {
    SenderWorld world;
    world.add_virtual_mta("v2", {"192.0.2.102"});
    world.add_virtual_mta("v3", {"192.0.2.103"});
    auto& google = world.config.providers["google"];
    google.name = "google";
    google.mx = {"mx.google.test"};
    world.resolver.set_mx("g.test", {"10 mx.google.test 192.0.2.1"});
    FakeHost& host = world.host("192.0.2.1:25");
    const auto send = [&](int each) {
        for (int n = 0; n < each; ++n) {
            for (const char* identity : {"v1", "v2", "v3"})
                world.hand_over({.to = {"a@g.test"}, .virtual_mta = identity});
        }
    };
    SECTION("connections") {
        google.limits.max_connections = 2;
        world.start();
        send(10);
        world.advance(20s);
        CHECK(host.deliveries.size() == 30);
        CHECK(host.most_open == 2);
    }
    SECTION("recipients, evenly, and each virtual MTA its share") {
        google.limits.max_message_rate = {10, 1s};
        world.start();
        send(20);
        world.advance(2100ms);
        for (const char* identity : {"v1", "v2", "v3"}) {
            CHECK(world.queue(std::string("google/") + identity).delivered >= 5);
            CHECK(world.queue(std::string("google/") + identity).hold_reason == "rate limited: provider google");
        }
        world.advance(10s);
        CHECK(host.deliveries.size() == 60);
        std::vector<SteadyTime> at;
        for (const auto& [when, command] : host.recipients_seen) at.push_back(when);
        check_rate(at, 100ms);
    }
    SECTION("connection attempts") {
        google.limits.max_connect_rate = {2, 1s};
        world.shaping().max_messages_per_connection = 1;
        world.start();
        send(3);
        world.advance(10s);
        CHECK(host.deliveries.size() == 9);
        check_rate(host.connect_times, 500ms);
    }
}

TEST_CASE("the total rate of recipients is exact over queues and virtual MTAs", "[P7]") {
    SenderWorld world;
    route_domains(world);
    world.config.outbound.total.max_message_rate = {20, 1s};
    world.start();
    send_to_all(world, 10);
    world.advance(5s);
    CHECK(world.count(EventType::Delivered) == 40);
    check_rate(recipients_everywhere(world), 50ms);
}

TEST_CASE("a rate of octets is exact, and recipients of one message count once", "[P7]") {
    SenderWorld world;
    route_domains(world);
    const config::DataRate rate{10'000, 1s};
    Mail mail;
    mail.content = "Subject: big\r\n\r\n" + std::string(2'000, 'x') + "\r\n";
    SECTION("of a queue") {
        world.shaping().max_data_rate = rate;
        world.start();
        mail.to = {"a@d1.test", "b@d1.test", "c@d1.test"};
        for (int n = 0; n < 20; ++n) world.hand_over(mail);
        world.advance(5s);
        CHECK(world.count(EventType::Delivered) == 60);
        CHECK(world.host(endpoint(1)).deliveries.size() == 20);
    }
    SECTION("of a virtual MTA") {
        world.config.virtual_mtas["v1"].limits.max_data_rate = rate;
        world.start();
        send_to_all(world, 5, mail);
        world.advance(6s);
        CHECK(world.count(EventType::Delivered) == 20);
    }
    SECTION("in total") {
        world.config.outbound.total.max_data_rate = rate;
        world.start();
        send_to_all(world, 5, mail);
        world.advance(6s);
        CHECK(world.count(EventType::Delivered) == 20);
    }
    check_data(world, 10'000);
}

TEST_CASE("limits per destination address hold over queues whose hosts share it", "[P7]") {
    SenderWorld world;
    for (int i = 1; i <= kDomains; ++i) world.route("d" + std::to_string(i) + ".test", endpoint(1));
    FakeHost& host = world.host(endpoint(1));
    SECTION("connections") {
        host.on_command = [&world](Peer& peer, const std::string& command) -> std::optional<std::string> {
            if (command != ".") return {};
            ManualExecutor& clock = *world.executors[0];
            clock.schedule_at(clock.now() + 50ms, [&peer] { peer.say("250 ok\r\n"); });
            return "";
        };
        world.shaping().per_destination_max_connections = 3;
        world.start();
        send_to_all(world, 25);
        world.settle();
        CHECK(host.open == 3);
        world.advance(60s);
        CHECK(world.count(EventType::Delivered) == 100);
        CHECK(host.most_open == 3);
    }
    SECTION("recipients") {
        world.shaping().per_destination_max_message_rate = config::Rate{10, 1s};
        world.start();
        send_to_all(world, 10);
        world.advance(8s);
        CHECK(world.count(EventType::Delivered) == 40);
        std::vector<SteadyTime> at;
        for (const auto& [when, command] : host.recipients_seen) at.push_back(when);
        check_rate(at, 100ms);
    }
    SECTION("a slow rate holds no connection open for nothing") {
        world.shaping().per_destination_max_message_rate = config::Rate{6, 1min};
        world.start();
        send_to_all(world, 1);
        world.advance(9s);
        CHECK(world.count(EventType::Delivered) == 1);
        CHECK(host.open == 0);
        CHECK(host.connects <= 4);
        world.advance(40s);
        CHECK(world.count(EventType::Delivered) == 4);
        std::vector<SteadyTime> at;
        for (const auto& [when, command] : host.recipients_seen) at.push_back(when);
        check_rate(at, 10s);
    }
    SECTION("connection attempts") {
        world.shaping().per_destination_max_connect_rate = config::Rate{2, 1s};
        world.shaping().max_messages_per_connection = 1;
        world.start();
        send_to_all(world, 2);
        world.advance(10s);
        CHECK(world.count(EventType::Delivered) == 8);
        check_rate(host.connect_times, 500ms);
    }
}

TEST_CASE("a full destination address sends mail to the next one, and holds it when all are full") {
    SenderWorld world;
    world.config.routes["x.test"] = {{"192.0.2.1", 25}, {"192.0.2.2", 25}};
    world.shaping().per_destination_max_connections = 1;
    for (const char* at : {"192.0.2.1:25", "192.0.2.2:25"}) {
        world.host(at).on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
            if (command == ".") return "";  // for ever
            return {};
        };
    }
    world.start();
    for (int n = 0; n < 5; ++n) world.hand_over({});
    world.advance(3s);
    CHECK(world.host("192.0.2.1:25").open == 1);
    CHECK(world.host("192.0.2.2:25").open == 1);
    CHECK(world.count(EventType::Deferred) == 0);
    CHECK(world.queue("x.test/v1").ready == 3);
}

TEST_CASE("limits per source address hold at one site, and over all sites", "[P7]") {
    SenderWorld world;
    world.config.virtual_mtas["v1"].sources = {IpAddress::parse("192.0.2.101").value(),
                                               IpAddress::parse("192.0.2.102").value()};
    route_domains(world, 50ms);
    SECTION("at a site") {
        world.shaping().per_source_max_connections = 2;
        world.start();
        send_to_all(world, 20);
        world.settle();
        for (int i = 1; i <= kDomains; ++i) CHECK(world.host(endpoint(i)).open == 4);
        world.advance(20s);
        for (int i = 1; i <= kDomains; ++i) CHECK(world.host(endpoint(i)).most_open <= 4);
    }
    SECTION("over all sites") {
        world.config.outbound.per_source.max_connections = 1;
        world.start();
        send_to_all(world, 5);
        run_until_delivered(world, 20, 2);
    }
}

TEST_CASE("what limits and who waits for it can be listed") {
    SenderWorld world;
    route_domains(world, 1s);
    world.config.outbound.total.max_connections = 2;
    world.config.virtual_mtas["v1"].limits.max_message_rate = {100, 1min};
    world.start();
    send_to_all(world, 5);
    world.settle();
    const auto limits =
        world.ask<std::vector<LimitStatus>>([&](auto done) { world.sender->control().list_limits(std::move(done)); });
    REQUIRE(limits.size() == 2);
    CHECK(limits[0].scope == LimitScope::Total);
    CHECK(limits[0].max_connections == 2u);
    CHECK(limits[1].scope == LimitScope::VirtualMta);
    CHECK(limits[1].name == "v1");
    CHECK(limits[1].max_message_rate == "100/m");
    CHECK(limits[1].next_message_in);
}

TEST_CASE("a queue of high priority is served first where several wait for the same limit, others not never") {
    SenderWorld world;
    route_domains(world, 50ms);
    world.config.outbound.total.max_connections = 1;
    world.shaping().max_messages_per_connection = 1;
    config::ShapingRule rule;
    rule.match.site = "d4.test";
    rule.keys.priority = Priority::High;
    world.config.shaping.push_back(rule);
    world.start();
    send_to_all(world, 60);
    world.advance(6s);
    std::map<std::string, int> delivered;
    int in_a_row = 0, most_in_a_row = 0;
    for (const Event& event : world.events(EventType::Delivered)) {
        ++delivered[event.queue];
        in_a_row = event.queue == "d4.test/v1" ? in_a_row + 1 : 0;
        most_in_a_row = std::max(most_in_a_row, in_a_row);
    }
    CHECK(delivered["d4.test/v1"] == 60);
    CHECK(delivered["d1.test/v1"] > 1);
    CHECK(delivered["d1.test/v1"] < 30);
    CHECK(most_in_a_row >= 10);
    CHECK(most_in_a_row <= 17);
}
