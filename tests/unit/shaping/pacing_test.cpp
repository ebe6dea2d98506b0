#include "postfleet/shaping/pacing.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <vector>

using namespace postfleet;
using namespace postfleet::shaping;
using namespace std::chrono_literals;

namespace {

const SteadyTime kStart{1h};

Pace one_every(Duration interval) { return {interval, {}}; }
Pace octets(std::uint64_t count, Duration period) { return {{}, {count, period}}; }

// Somebody who always wants the next permit of its scopes, and asks when it is told to.
struct Taker {
    std::vector<PacedScope> scopes;
    std::uint64_t octets = 1000;
    Priority priority = Priority::Normal;
    SteadyTime asks_at = kStart;
    std::vector<SteadyTime> taken;
};

// All of them from kStart on, on a clock of their own; whoever asks earliest is asked first.
void run(std::vector<Taker>& takers, Duration length) {
    for (;;) {
        Taker& next = *std::min_element(takers.begin(), takers.end(),
                                        [](const Taker& a, const Taker& b) { return a.asks_at < b.asks_at; });
        const SteadyTime now = next.asks_at;
        if (now > kStart + length) return;
        if (const auto wait = take_all(next.scopes, {&next, next.priority}, next.octets, now)) {
            REQUIRE(*wait > now);
            next.asks_at = *wait;
        } else {
            next.taken.push_back(now);
            next.asks_at = now + 10us;
        }
    }
}

std::vector<SteadyTime> all_of(const std::vector<Taker>& takers) {
    std::vector<SteadyTime> all;
    for (const Taker& taker : takers) all.insert(all.end(), taker.taken.begin(), taker.taken.end());
    std::sort(all.begin(), all.end());
    return all;
}

void check_every_window(const std::vector<SteadyTime>& at, Duration interval) {
    for (std::size_t i = 0; i < at.size(); ++i) {
        for (std::size_t j = i; j < at.size() && j < i + 50; ++j) {
            REQUIRE(static_cast<Duration::rep>(j - i + 1) <= (at[j] - at[i]) / interval + 1);
        }
    }
}

}  // namespace

TEST_CASE("octets are paid for before the next message goes", "[P7]") {
    PacedLimit limit;
    const std::array scopes{PacedScope{&limit, octets(1000, 1s)}};
    const int who = 0;
    CHECK_FALSE(take_all(scopes, &who, 500, kStart));
    const auto after_half_a_second = take_all(scopes, &who, 2000, kStart + 1ms);
    REQUIRE(after_half_a_second);
    CHECK(*after_half_a_second >= kStart + 500ms);
    CHECK(*after_half_a_second <= kStart + 502ms);
    CHECK_FALSE(take_all(scopes, &who, 2000, *after_half_a_second));
    CHECK(*take_all(scopes, &who, 1, kStart + 1s) >= kStart + 2500ms);
}

TEST_CASE("a permit is taken of all scopes, or of none") {
    PacedLimit fast, slow;
    const std::array both{PacedScope{&fast, one_every(10ms)}, PacedScope{&slow, one_every(1s)}};
    const std::array first{both[0]};
    const int who = 0, other = 0;
    CHECK_FALSE(take_all(both, &who, 1, kStart));
    CHECK(*take_all(both, &who, 1, kStart + 20ms) >= kStart + 1s);
    CHECK_FALSE(
        take_all(first, &other, 1, kStart + 20ms));  // it was left alone, and who waits for long is not in the way
}

TEST_CASE("those who share a rate take turns and use all of it", "[P7]") {
    PacedLimit limit;
    std::vector<Taker> takers(5);
    for (Taker& taker : takers) taker.scopes = {{&limit, one_every(10ms)}};
    run(takers, 10s);
    check_every_window(all_of(takers), 10ms);
    CHECK(all_of(takers).size() >= 950);
    for (const Taker& taker : takers) CHECK(taker.taken.size() >= 180);
}

TEST_CASE("one that needs a permit of two busy scopes starves in neither") {
    PacedLimit google, promo;
    std::vector<Taker> takers(7);
    for (int i = 0; i < 3; ++i) takers[i].scopes = {{&google, one_every(10ms)}};
    for (int i = 3; i < 6; ++i) takers[i].scopes = {{&promo, one_every(14ms)}};
    takers[6].scopes = {{&google, one_every(10ms)}, {&promo, one_every(14ms)}};
    run(takers, 20s);
    for (const Taker& taker : takers) CHECK(taker.taken.size() >= 200);
}

TEST_CASE("a slow scope does not slow those who share the other one", "[P6]") {
    PacedLimit total, slow;
    std::vector<Taker> takers(3);
    takers[0].scopes = {{&total, one_every(5ms)}};
    takers[1].scopes = {{&total, one_every(5ms)}};
    takers[2].scopes = {{&total, one_every(5ms)}, {&slow, one_every(5s)}};
    run(takers, 20s);
    CHECK(takers[2].taken.size() >= 4);
    CHECK(takers[0].taken.size() + takers[1].taken.size() >= 3800);
}

TEST_CASE("a higher priority goes first, and a lower one all the same now and then") {
    PacedLimit limit;
    std::vector<Taker> takers(6);
    for (Taker& taker : takers) taker.scopes = {{&limit, one_every(10ms)}};
    for (int i = 0; i < 3; ++i) takers[i].priority = Priority::High;
    takers[3].priority = Priority::Normal;
    takers[4].priority = takers[5].priority = Priority::Low;
    run(takers, 20s);
    const std::size_t high = takers[0].taken.size() + takers[1].taken.size() + takers[2].taken.size();
    CHECK(high >= 1200);
    CHECK(takers[3].taken.size() > takers[4].taken.size());
    CHECK(takers[4].taken.size() >= 10);
    CHECK(all_of(takers).size() >= 1900);
}

TEST_CASE("each of high priority passes over a lower one that waits a bounded number of times") {
    PacedLimit limit;
    std::vector<Taker> takers(4);
    for (Taker& taker : takers) taker.scopes = {{&limit, one_every(10ms)}};
    for (int i = 0; i < 3; ++i) takers[i].priority = Priority::High;
    run(takers, 20s);
    const auto& seldom = takers[3].taken;
    REQUIRE(seldom.size() >= 20);
    for (std::size_t i = 1; i < seldom.size(); ++i) {
        std::size_t passed_over = 0;
        for (int k = 0; k < 3; ++k) {
            for (const SteadyTime at : takers[k].taken) passed_over += at > seldom[i - 1] && at < seldom[i];
        }
        CHECK(passed_over <= 3 * (PacedLimit::kHeadStart + 2));
    }
}

TEST_CASE("priorities of those who share several scopes of different rates hold up nobody", "[P5]") {
    PacedLimit fast, slow, own;
    std::vector<Taker> takers(4);
    for (Taker& taker : takers) taker.scopes = {{&fast, one_every(10ms)}, {&slow, one_every(50ms)}};
    takers[0].priority = takers[1].priority = Priority::High;
    takers[3].priority = Priority::Low;
    takers[0].scopes.push_back({&own, one_every(1s)});
    run(takers, 100s);
    CHECK(all_of(takers).size() >= 1850);
    CHECK(takers[0].taken.size() >= 95);
    for (const Taker& taker : takers) CHECK(taker.taken.size() >= 20);
}

TEST_CASE("one that does not come back loses its place") {
    PacedLimit limit;
    const std::array scopes{PacedScope{&limit, one_every(1s)}};
    const int gone = 0, other = 0;
    CHECK_FALSE(take_all(scopes, &other, 1, kStart));
    CHECK(take_all(scopes, &gone, 1, kStart + 1ms));
    CHECK(limit.waiting() == 1);
    CHECK(take_all(scopes, &other, 1, kStart + 1100ms));  // it may still come
    CHECK_FALSE(take_all(scopes, &other, 1, kStart + 4s));
    CHECK(limit.waiting() == 0);
}

TEST_CASE("random takers of random scopes never exceed any rate", "[property][P7]") {
    const std::uint32_t seed = GENERATE(1u, 2u, 3u, 4u);
    INFO("seed " << seed);
    std::mt19937 random(seed);
    std::vector<PacedLimit> limits(4);
    const std::vector<Pace> paces{one_every(3ms), one_every(20ms), octets(100'000, 1s), one_every(7ms)};
    std::vector<Taker> takers(8);
    for (Taker& taker : takers) {
        taker.octets = 100 + random() % 2000;
        for (std::size_t i = 0; i < limits.size(); ++i) {
            if (random() % 2 == 0) taker.scopes.push_back({&limits[i], paces[i]});
        }
        if (taker.scopes.empty()) taker.scopes.push_back({&limits[0], paces[0]});
    }
    run(takers, 10s);
    for (std::size_t i = 0; i < limits.size(); ++i) {
        std::vector<std::pair<SteadyTime, std::uint64_t>> seen;
        for (const Taker& taker : takers) {
            const bool counts = std::any_of(taker.scopes.begin(), taker.scopes.end(),
                                            [&](const PacedScope& scope) { return scope.limit == &limits[i]; });
            if (counts) {
                for (const SteadyTime at : taker.taken) seen.emplace_back(at, taker.octets);
            }
        }
        std::sort(seen.begin(), seen.end());
        for (std::size_t j = 1; j < seen.size(); ++j) {
            const Duration gap = seen[j].first - seen[j - 1].first;
            REQUIRE(gap >= std::max(paces[i].interval, paces[i].data.time_for(seen[j - 1].second)));
        }
    }
    for (const Taker& taker : takers) CHECK(taker.taken.size() > 20);
}
