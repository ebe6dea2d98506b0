#include "warm_up.hpp"

#include <array>
#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::sender;
using namespace std::chrono_literals;

namespace {

constexpr std::array<std::uint32_t, 3> kLimits{100, 200, 400};
const WallTime kNoon{std::chrono::hours(24 * 20'000 + 12)};

// Takes so many, and keeps every note at once. The last note, and how many were written.
struct Keeper {
    WarmUp warm_up;
    std::string note;
    int written = 0;
    std::uint32_t take(std::uint32_t wanted, WallTime now) {
        std::uint32_t taken = 0;
        for (;;) {
            WarmUp::Grant grant = warm_up.take(kLimits, wanted - taken, now);
            taken += grant.recipients;
            if (grant.note.empty()) return taken;
            note = grant.note;
            ++written;
            warm_up.on_kept(WarmUp::Kept::Yes);
        }
    }
};

}  // namespace

TEST_CASE("each day with mail has its own warm-up limit, and the last one repeats") {
    Keeper keeper;
    WallTime now = kNoon;
    for (const std::uint32_t limit : {100u, 200u, 400u, 400u}) {
        CHECK(keeper.warm_up.left(kLimits, now) == limit);
        CHECK(keeper.take(30, now) == 30);
        CHECK(keeper.warm_up.left(kLimits, now) == limit - 30);
        CHECK(keeper.take(1000, now) == limit - 30);
        CHECK(keeper.warm_up.left(kLimits, now) == 0);
        CHECK(WarmUp::next_day(now) == now + 12h);
        now += 72h;
    }
}

TEST_CASE("a clock that is set back begins no other day") {
    Keeper keeper;
    keeper.take(100, kNoon);
    CHECK(keeper.warm_up.left(kLimits, kNoon - 24h) == 0);
    CHECK(keeper.take(1, kNoon - 24h) == 0);
    CHECK(keeper.warm_up.day() == 1);
}

TEST_CASE("nothing is granted that no durable note tells of, whenever the process dies", "[P7]") {
    Keeper keeper;
    std::uint32_t granted = 0;
    std::string durable;
    while (granted < 100) {
        const WarmUp::Grant grant = keeper.warm_up.take(kLimits, 3, kNoon);
        granted += grant.recipients;
        WarmUp restored;
        restored.restore(durable);
        CHECK(restored.left(kLimits, kNoon) <= 100 - granted);
        if (granted > 0) CHECK(restored.day() == 1);
        if (grant.note.empty()) continue;
        durable = grant.note;
        ++keeper.written;
        keeper.warm_up.on_kept(WarmUp::Kept::Yes);
    }
    CHECK(granted == 100);
    CHECK(keeper.written <= 60);
    WarmUp untouched;
    untouched.restore("nonsense");
    CHECK(untouched.day() == 0);
}

TEST_CASE("a note that was not kept grants nothing, and is written again") {
    WarmUp warm_up;
    WarmUp::Grant grant = warm_up.take(kLimits, 5, kNoon);
    CHECK(grant.recipients == 0);
    CHECK_FALSE(grant.note.empty());
    CHECK(warm_up.is_waiting(kNoon));
    warm_up.on_kept(WarmUp::Kept::No);
    CHECK_FALSE(warm_up.is_waiting(kNoon));
    grant = warm_up.take(kLimits, 5, kNoon);
    CHECK(grant.recipients == 0);
    CHECK_FALSE(grant.note.empty());

    SECTION("and so does one of the day before") {
        CHECK(warm_up.take(kLimits, 5, kNoon + 24h).recipients == 0);
        warm_up.on_kept(WarmUp::Kept::Yes);
        CHECK(warm_up.take(kLimits, 5, kNoon + 24h).recipients == 0);
    }
}

TEST_CASE("a limit that is lowered while the day goes on ends it") {
    Keeper keeper;
    keeper.take(60, kNoon);
    constexpr std::array<std::uint32_t, 1> kLower{50};
    CHECK(keeper.warm_up.left(kLower, kNoon) == 0);
    CHECK(keeper.warm_up.take(kLower, 5, kNoon).recipients == 0);
}

TEST_CASE("a warm-up tells its day and what is used of it") {
    Keeper keeper;
    CHECK(keeper.warm_up.describe(kLimits, kNoon).empty());
    keeper.take(40, kNoon);
    CHECK(keeper.warm_up.describe(kLimits, kNoon) == "day 1: 40 of 100");
    CHECK(keeper.warm_up.describe(kLimits, kNoon + 24h) == "day 2: 0 of 200");
    CHECK(keeper.warm_up.describe({}, kNoon).empty());
}
