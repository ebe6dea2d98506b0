#include "postfleet/shaping/limits.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <thread>
#include <vector>

using namespace postfleet;
using namespace postfleet::shaping;
using namespace std::chrono_literals;

namespace {

const SteadyTime kStart{1h};

// What P7 says, over every window that begins and ends with an event.
void check_every_window(std::vector<SteadyTime> at, Duration interval) {
    std::sort(at.begin(), at.end());
    for (std::size_t i = 0; i < at.size(); ++i) {
        for (std::size_t j = i; j < at.size() && j < i + 50; ++j) {
            const auto allowed = (at[j] - at[i]) / interval + 1;
            if (static_cast<Duration::rep>(j - i + 1) > allowed) {
                CAPTURE(i, j, (at[j] - at[i]).count(), interval.count());
                FAIL("more than rate x window + 1");
            }
        }
    }
}

}  // namespace

TEST_CASE("a rate gives one permit per interval and no burst, however long it rested") {
    RateLimit rate;
    CHECK_FALSE(rate.try_take(kStart, 1s));
    const auto wait = rate.try_take(kStart, 1s);
    REQUIRE(wait);
    CHECK(*wait >= kStart + 1s);
    CHECK(*wait <= kStart + 1s + RateLimit::guard(1s));
    CHECK(rate.try_take(*wait - 1ns, 1s) == wait);
    CHECK_FALSE(rate.try_take(*wait, 1s));

    CHECK_FALSE(rate.try_take(kStart + 1h, 1s));
    CHECK(rate.try_take(kStart + 1h, 1s));
    CHECK(rate.try_take(kStart + 1h + 500ms, 1s));
}

TEST_CASE("a changed rate holds at once") {
    RateLimit rate;
    CHECK_FALSE(rate.try_take(kStart, 1h));
    CHECK(rate.try_take(kStart + 2s, 1h));
    CHECK_FALSE(rate.try_take(kStart + 2s, 1s));
    CHECK_FALSE(rate.try_take(kStart + 2s, Duration::zero()));
}

TEST_CASE("takers that wake late never exceed the rate at the receiving side", "[property][P7]") {
    const std::uint32_t seed = GENERATE(1u, 2u, 3u);
    const Duration interval = GENERATE(Duration(600ms), Duration(100ms), Duration(12ms));
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    const auto up_to = [&](Duration most) {
        return Duration(static_cast<Duration::rep>(random() % static_cast<std::uint64_t>(most.count())));
    };
    RateLimit rate;
    std::vector<SteadyTime> arrivals;
    SteadyTime now = kStart;
    for (int i = 0; i < 2000; ++i) {
        if (const auto wait = rate.try_take(now, interval)) {
            now = *wait + up_to(300us);  // the timer of the taker
            continue;
        }
        arrivals.push_back(now + up_to(RateLimit::guard(interval) / 2));  // the way to the sink
        if (random() % 50 == 0) now += up_to(interval * 5);               // nothing to send for a while
    }
    check_every_window(arrivals, interval);
}

TEST_CASE("takers that use their permits late never exceed the rate at the receiving side", "[property][P7]") {
    const std::uint32_t seed = GENERATE(1u, 2u, 3u);
    const Duration interval = GENERATE(Duration(600ms), Duration(100ms), Duration(12ms), Duration(5ms));
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    const auto up_to = [&](Duration most) {
        return Duration(static_cast<Duration::rep>(random() % static_cast<std::uint64_t>(most.count())));
    };
    RateLimit rate;
    std::vector<SteadyTime> arrivals;
    SteadyTime now = kStart;
    for (int i = 0; i < 2000; ++i) {
        if (const auto wait = rate.try_take(now, interval)) {
            now = *wait + up_to(300us);
            continue;
        }
        now += random() % 3 == 0 ? up_to(interval * 3) : up_to(200us);    // until it is written
        arrivals.push_back(now + up_to(RateLimit::guard(interval) / 2));  // the way to the sink
        now += random() % 3 == 0 ? up_to(interval) : up_to(50us);         // until the writer knows
        rate.mark_used(now, interval);
    }
    check_every_window(arrivals, interval);
}

TEST_CASE("a permit that is used a little late delays no other") {
    RateLimit rate;
    SteadyTime now = kStart;
    int taken = 0;
    while (now < kStart + 100s) {
        if (const auto wait = rate.try_take(now, 10ms)) {
            now = *wait + 40us;
        } else {
            ++taken;
            now += 60us;
            rate.mark_used(now, 10ms);
        }
    }
    CHECK(taken <= 10'001);
    CHECK(taken >= 9'800);
}

TEST_CASE("a rate that is always asked for in time loses at most two percent and the timer's lateness") {
    RateLimit rate;
    SteadyTime now = kStart;
    int taken = 0;
    while (now < kStart + 100s) {
        if (const auto wait = rate.try_take(now, 10ms)) {
            now = *wait + 60us;
        } else {
            ++taken;
        }
    }
    CHECK(taken <= 10'001);
    CHECK(taken >= 9'800);
}

TEST_CASE("a rate shared by threads gives every permit once", "[P7]") {
    RateLimit rate;
    constexpr Duration kInterval = 1ms;
    std::vector<std::vector<SteadyTime>> taken(4);
    std::vector<std::thread> threads;
    for (auto& mine : taken) {
        threads.emplace_back([&] {
            for (std::int64_t tick = 0; tick < 200'000; ++tick) {  // 200 ms of simulated time
                const SteadyTime now = kStart + std::chrono::microseconds(tick);
                if (!rate.try_take(now, kInterval)) mine.push_back(now);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    std::vector<SteadyTime> all;
    for (const auto& mine : taken) all.insert(all.end(), mine.begin(), mine.end());
    CHECK(all.size() <= 201);
    CHECK(all.size() >= 1);
}

TEST_CASE("a connection limit is never exceeded by threads that race for it", "[P7]") {
    constexpr std::uint32_t kLimit = 3;
    ConnectionLimit limit;
    std::atomic<std::uint32_t> inside{0}, most{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 20'000; ++round) {
                if (!limit.try_take(kLimit)) continue;
                const std::uint32_t now = inside.fetch_add(1) + 1;
                std::uint32_t seen = most.load();
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                inside.fetch_sub(1);
                limit.give_back();
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(most <= kLimit);
    CHECK(limit.in_use() == 0);
    CHECK_FALSE(ConnectionLimit{}.try_take(0));
}
