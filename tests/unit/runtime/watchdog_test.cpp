#include "postfleet/runtime/watchdog.hpp"

#include <catch2/catch.hpp>

#include "postfleet/support/manual_executor.hpp"

using namespace postfleet;
using namespace postfleet::runtime;
using namespace std::chrono_literals;

TEST_CASE("a shard that answers is alive, one that does not is named after the limit") {
    support::ManualExecutor alive(0), stuck(1);
    Metrics metrics;
    Watchdog watchdog({&alive, &stuck}, 10s, metrics);
    SteadyTime now = steady_clock_now();
    watchdog.check(now);
    alive.run_until_idle();
    CHECK(watchdog.stalled(now + 9s).empty());
    now += 12s;
    watchdog.check(now);
    alive.run_until_idle();
    CHECK(watchdog.stalled(now) == std::vector<std::string>{"shard 1 has not answered for 12s"});
    stuck.run_until_idle();
    CHECK(watchdog.stalled(now).empty());
}

TEST_CASE("a stuck shard gets no second question, so nothing piles up") {
    support::ManualExecutor stuck;
    Metrics metrics;
    Watchdog watchdog({&stuck}, 10s, metrics);
    const SteadyTime now = steady_clock_now();
    for (int i = 0; i < 100; ++i) watchdog.check(now + std::chrono::seconds(i));
    CHECK(stuck.pending_posts() == 1);
}

TEST_CASE("a main thread that does not check any more is a stall too") {
    Metrics metrics;
    Watchdog watchdog({}, 10s, metrics);
    const SteadyTime now = steady_clock_now();
    watchdog.check(now);
    CHECK(watchdog.stalled(now + 11s) == std::vector<std::string>{"the main thread has not answered for 11s"});
}

TEST_CASE("a question may outlive the watchdog") {
    support::ManualExecutor shard;
    Metrics metrics;
    {
        Watchdog watchdog({&shard}, 10s, metrics);
        watchdog.check(steady_clock_now());
    }
    CHECK(shard.run_until_idle() == 1);
}
