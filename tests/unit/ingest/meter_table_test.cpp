#include "postfleet/ingest/meter_table.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

namespace postfleet::ingest {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using throttle::Allowance;

const SteadyTime kStart = SteadyTime(hours(1));

TEST_CASE("several threads take exactly what is there from a table") {
    MeterTable table;
    const Allowance thousand{1000, hours(1000)};
    const IpAddress client = *IpAddress::parse("192.0.2.1");
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < 600; ++n) {
                if (table.take(client, 0, kStart, thousand) == Duration::zero()) ++taken;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(taken == 1000);
}

IpAddress network(int number) {
    return *IpAddress::parse("10." + std::to_string(number >> 8) + "." + std::to_string(number & 255) + ".0");
}

TEST_CASE("networks and meters do not know each other") {
    MeterTable table;
    const Allowance one{1, hours(1)};
    CHECK(table.take(network(1), 0, kStart, one) == Duration::zero());
    CHECK(table.take(network(1), 0, kStart, one) == hours(1));
    CHECK(table.wait(network(1), 0, kStart, one) == hours(1));
    CHECK(table.take(network(1), 1, kStart, one) == Duration::zero());
    CHECK(table.take(network(2), 0, kStart, one) == Duration::zero());
    table.give_back(network(1), 0, one);
    table.give_back(network(9), 0, one);
    CHECK(table.take(network(1), 0, kStart, one) == Duration::zero());
    CHECK(table.wait(network(3), 0, kStart, one) == Duration::zero());
    CHECK(table.size() == 2);
}

TEST_CASE("a flood of networks costs bounded memory, and idle ones are forgotten", "[SEC-10]") {
    MeterTable table(160);
    const Allowance one{1, seconds(10)};
    for (int i = 0; i < 20'000; ++i) CHECK(table.take(network(i % 60'000), 0, kStart, one) == Duration::zero());
    CHECK(table.size() <= 160);
    for (int i = 0; i < 400; ++i) table.take(network(i), 0, kStart + minutes(1), one);
    for (int i = 0; i < 40; ++i) table.take(network(i), 0, kStart + minutes(3), one);
    CHECK(table.size() < 160);
    MeterTable unused;
    for (int i = 0; i < 100; ++i) unused.take(network(i), 0, kStart, {});
    CHECK(unused.size() == 0);
}

}  // namespace
}  // namespace postfleet::ingest
