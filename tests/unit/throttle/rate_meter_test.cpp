#include "postfleet/throttle/rate_meter.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace postfleet::throttle {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const SteadyTime kStart{hours(100)};

TEST_CASE("an allowance is there at once, then comes back evenly", "[SEC-10]") {
    RateMeter meter;
    const Allowance six{6, minutes(1)};
    for (int i = 0; i < 6; ++i) CHECK(meter.take(kStart, six) == Duration::zero());
    CHECK(meter.take(kStart, six) == seconds(10));
    CHECK(meter.take(kStart + seconds(4), six) == seconds(6));
    CHECK(meter.wait(kStart + seconds(10), six) == Duration::zero());
    CHECK(meter.take(kStart + seconds(10), six) == Duration::zero());
    CHECK(meter.take(kStart + seconds(10), six) == seconds(10));
    for (int i = 0; i < 6; ++i) CHECK(meter.take(kStart + minutes(5), six) == Duration::zero());
    CHECK(meter.take(kStart + minutes(5), six) == seconds(10));
}

TEST_CASE("what is given back can be taken again, and no more than that") {
    RateMeter meter;
    const Allowance two{2, seconds(2)};
    CHECK(meter.take(kStart, two) == Duration::zero());
    CHECK(meter.take(kStart, two) == Duration::zero());
    meter.give_back(two);
    CHECK(meter.take(kStart, two) == Duration::zero());
    CHECK(meter.take(kStart, two) > Duration::zero());
}

TEST_CASE("no limit takes nothing") {
    RateMeter meter;
    for (int i = 0; i < 100; ++i) CHECK(meter.take(kStart, {}) == Duration::zero());
    meter.give_back({});
    CHECK(meter.is_idle(kStart));
}

TEST_CASE("counts that do not divide the period do not gain by rounding") {
    for (const std::uint64_t count : {3ull, 7ull, 999'983ull}) {
        RateMeter meter;
        std::uint64_t taken = 0;
        while (meter.take(kStart, {count, seconds(1)}) == Duration::zero()) ++taken;
        CHECK(taken == count);
    }
}

TEST_CASE("in any time T no more than N + T × N / P are taken, and who waits as told is not refused", "[property]") {
    const auto seed = GENERATE(range(1, 21));
    INFO("seed " << seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
    const Allowance allowance{1 + static_cast<std::uint64_t>(pick(50)), milliseconds(100 + pick(5000))};
    RateMeter meter;
    std::vector<SteadyTime> taken;
    SteadyTime now = kStart;
    for (int i = 0; i < 400; ++i) {
        now += milliseconds(pick(4) == 0 ? pick(500) : 0);
        const Duration wait = meter.take(now, allowance);
        if (wait == Duration::zero()) {
            taken.push_back(now);
        } else if (pick(3) == 0) {
            now += wait;
            REQUIRE(meter.take(now, allowance) == Duration::zero());
            taken.push_back(now);
        }
    }
    for (std::size_t from = 0; from < taken.size(); ++from) {
        for (std::size_t to = from; to < taken.size(); ++to) {
            const auto most =
                allowance.count + static_cast<std::uint64_t>((taken[to] - taken[from]) / allowance.interval());
            REQUIRE(to - from + 1 <= most);
        }
    }
}

TEST_CASE("several threads take exactly what is there") {
    RateMeter meter;
    const Allowance thousand{1000, hours(1000)};
    std::atomic<int> from_meter{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < 600; ++n) {
                if (meter.take(kStart, thousand) == Duration::zero()) ++from_meter;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(from_meter == 1000);
}

}  // namespace
}  // namespace postfleet::throttle
