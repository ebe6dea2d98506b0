#include "postfleet/base/settled_clock.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace std::chrono_literals;

namespace {

enum class Believes { Truth, System, Neither };

// The system's clock is off by `error` from what is true.
struct Machine {
    Believes after(std::chrono::microseconds passed) {
        steady += passed;
        truth += passed;
        const WallTime believed = clock.read(truth + error, steady);
        if (believed == truth + error) return Believes::System;
        return believed == truth ? Believes::Truth : Believes::Neither;
    }
    SettledClock clock;
    SteadyTime steady{100h};
    WallTime truth{480'000h};
    std::chrono::microseconds error{};
};

}  // namespace

TEST_CASE("a clock that goes is followed, slewing included", "[F56]") {
    Machine m;
    for (int i = 0; i < 1'000; ++i) {
        m.error += 500us;  // 500 ppm
        CHECK(m.after(1s) == Believes::System);
    }
    m.error += 30s;  // a small step is one, too
    CHECK(m.after(1s) == Believes::System);
}

TEST_CASE("a jump of an hour or a year, to and fro, is not believed before it has lasted", "[F56]") {
    Machine m;
    m.after(1s);
    m.error = GENERATE(std::chrono::microseconds(1h), std::chrono::microseconds(-1h), std::chrono::microseconds(8760h));
    CHECK(m.after(1s) == Believes::Truth);
    CHECK(m.after(58min) == Believes::Truth);
    SECTION("it was a mistake") {
        m.error = {};
        CHECK(m.after(1s) == Believes::System);
        CHECK(m.after(5h) == Believes::System);
    }
    SECTION("it was meant so") {
        CHECK(m.after(3min) == Believes::System);
        CHECK(m.after(1s) == Believes::System);
    }
}

TEST_CASE("one jump after the other is measured from what is believed", "[F56]") {
    Machine m;
    m.after(1s);
    m.error = 2h;
    CHECK(m.after(30min) == Believes::Truth);
    m.error = 5h;
    CHECK(m.after(29min) == Believes::Truth);
    CHECK(m.after(31min) == Believes::System);
}
