#include <catch2/catch.hpp>

#include "postfleet/throttle/keyed_meters.hpp"

using namespace postfleet;
using namespace postfleet::throttle;
using namespace std::chrono_literals;

namespace {
constexpr Allowance kTwoAMinute{2, 1min};
const SteadyTime kStart{1h};
}  // namespace

TEST_CASE("each key has an allowance of its own", "[throttle]") {
    KeyedMeters meters;
    CHECK(meters.take("a", kStart, kTwoAMinute) == Duration::zero());
    CHECK(meters.take("a", kStart, kTwoAMinute) == Duration::zero());
    CHECK(meters.take("a", kStart, kTwoAMinute) == 30s);
    CHECK(meters.take("b", kStart, kTwoAMinute) == Duration::zero());
    CHECK(meters.take("a", kStart + 30s, kTwoAMinute) == Duration::zero());
}

TEST_CASE("what is given back can be taken again", "[throttle]") {
    KeyedMeters meters;
    CHECK(meters.take("a", kStart, {1, 1min}) == Duration::zero());
    meters.give_back("a", {1, 1min});
    meters.give_back("unknown", {1, 1min});
    CHECK(meters.take("a", kStart, {1, 1min}) == Duration::zero());
}

TEST_CASE("without a limit nothing is remembered", "[throttle]") {
    KeyedMeters meters;
    for (int i = 0; i < 10; ++i) CHECK(meters.take("a", kStart, {}) == Duration::zero());
    CHECK(meters.size() == 0);
}

TEST_CASE("full, the key that was looked at longest ago is forgotten", "[throttle]") {
    KeyedMeters meters(2);
    for (const char* key : {"a", "b", "a", "c"}) (void)meters.take(key, kStart, kTwoAMinute);
    CHECK(meters.size() == 2);
    CHECK(meters.take("a", kStart, kTwoAMinute) > Duration::zero());   // a is still there, with two used
    CHECK(meters.take("b", kStart, kTwoAMinute) == Duration::zero());  // b is not, and began anew
}

TEST_CASE("long keys are the same when their first octets are", "[throttle]") {
    KeyedMeters meters;
    const std::string key(KeyedMeters::kMaxKeyOctets, 'x');
    CHECK(meters.take(key + "1", kStart, {1, 1min}) == Duration::zero());
    CHECK(meters.take(key + "2", kStart, {1, 1min}) > Duration::zero());
}
