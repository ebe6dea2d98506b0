#include "postfleet/support/manual_executor.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace std::chrono_literals;
using postfleet::SteadyTime;
using postfleet::TimerId;
using postfleet::support::ManualExecutor;

TEST_CASE("posts run in order, and nothing runs by itself") {
    ManualExecutor executor;
    std::vector<int> ran;
    executor.post([&] {
        ran.push_back(1);
        executor.post([&] { ran.push_back(3); });
    });
    executor.post([&] { ran.push_back(2); });
    CHECK(ran.empty());
    CHECK(executor.run_until_idle() == 3);
    CHECK(ran == std::vector{1, 2, 3});
}

TEST_CASE("advance stops at every timer on its way, in order of time and then of setting") {
    ManualExecutor executor;
    const SteadyTime start = executor.now();
    const auto wall_start = executor.wall_now();
    std::vector<std::pair<int, SteadyTime>> ran;
    executor.schedule_at(start + 20ms, [&] { ran.emplace_back(2, executor.now()); });
    executor.schedule_at(start + 10ms, [&] {
        ran.emplace_back(1, executor.now());
        executor.schedule_at(executor.now() + 10ms, [&] { ran.emplace_back(3, executor.now()); });
    });
    executor.advance(19ms);
    CHECK(ran.size() == 1);
    executor.advance(1ms);
    CHECK(ran == std::vector<std::pair<int, SteadyTime>>{{1, start + 10ms}, {2, start + 20ms}, {3, start + 20ms}});
    CHECK(executor.wall_now() - wall_start == 20ms);
}

TEST_CASE("a timer in the past runs at once; a cancelled one never") {
    ManualExecutor executor;
    int ran = 0;
    executor.schedule_at(executor.now() - 1h, [&] { ran += 1; });
    const TimerId cancelled = executor.schedule_at(executor.now() + 1s, [&] { ran += 100; });
    executor.cancel(cancelled);
    executor.cancel(cancelled);
    executor.cancel(TimerId{});
    executor.advance(1h);
    CHECK(ran == 1);
    CHECK(executor.pending_timers() == 0);
}

TEST_CASE("a timer can cancel the one that is due with it") {
    ManualExecutor executor;
    TimerId second;
    bool ran_second = false;
    executor.schedule_at(executor.now() + 1s, [&] { executor.cancel(second); });
    second = executor.schedule_at(executor.now() + 1s, [&] { ran_second = true; });
    executor.advance(2s);
    CHECK_FALSE(ran_second);
}

TEST_CASE("run_until waits for posts of other threads") {
    ManualExecutor executor;
    bool came = false;
    std::thread other([&] { executor.post([&] { came = true; }); });
    CHECK(executor.run_until([&] { return came; }));
    other.join();
    CHECK_FALSE(executor.run_until([] { return false; }, 1ms));
}

TEST_CASE("a step of the wall clock leaves the steady clock alone") {
    ManualExecutor executor;
    const auto steady = executor.now();
    const auto stepped = executor.wall_now() - 24h;
    executor.set_wall_time(stepped);
    executor.advance(5s);
    CHECK(executor.now() - steady == 5s);
    CHECK(executor.wall_now() - stepped == 5s);
}
