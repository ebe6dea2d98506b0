#include "postfleet/mail/delivery_windows.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace std::chrono_literals;

namespace {

WallTime at(const char* text) {
    return parse_delivery_windows(std::string(text) + " / 2999-01-01 00:00").value().front().begin;
}

std::string problem(const char* text) { return parse_delivery_windows(text).error().text; }

}  // namespace

TEST_CASE("windows are read with any zone, in order, and those that overlap are one") {
    CHECK(format_rfc3339(at("2026-12-24 08:00 +0100")) == "2026-12-24T07:00:00.000000Z");
    CHECK(at("2026-12-24T07:00:00Z") == at("2026-12-24 02:00:00 -05:00"));
    CHECK(at("2026-12-24 07:00") == at("2026-12-24 08:00 +0100"));
    const auto windows = parse_delivery_windows(
                             "2026-12-27 08:00 / 2026-12-27 20:00, 2026-12-24 08:00/2026-12-24 12:00 ,"
                             "2026-12-24 11:00 / 2026-12-24 20:00")
                             .value();
    REQUIRE(windows.size() == 2);
    CHECK(windows[0] == DeliveryWindow{at("2026-12-24 08:00"), at("2026-12-24 20:00")});
    CHECK(windows[1].begin == at("2026-12-27 08:00"));
}

TEST_CASE("what is no window is told") {
    CHECK(problem("").starts_with("a window is start / end"));
    CHECK(problem("2026-12-24 08:00").starts_with("a window is start / end"));
    CHECK(problem("soon / later").starts_with("a time is written as"));
    CHECK(problem("2026-02-30 08:00 / 2026-03-01 08:00").starts_with("a time is written as"));
    CHECK(problem("2026-12-24 25:00 / 2026-12-25 08:00").starts_with("a time is written as"));
    CHECK(problem("2026-12-24 08:00 / 2026-12-24 08:00").starts_with("the window ends before it begins"));
    std::string many;
    for (int i = 0; i < 65; ++i) many += (many.empty() ? "" : ",") + std::string("2026-12-24 08:00/2026-12-24 09:00");
    CHECK(problem(many.c_str()).starts_with("too many windows"));
}

TEST_CASE("the next moment inside a window is found, until all are over") {
    const auto windows =
        parse_delivery_windows("2026-12-24 08:00 / 2026-12-24 20:00, 2026-12-27 08:00 / 2026-12-27 20:00").value();
    CHECK(next_in_windows(windows, at("2026-12-01 00:00")) == at("2026-12-24 08:00"));
    CHECK(next_in_windows(windows, at("2026-12-24 12:00")) == at("2026-12-24 12:00"));
    CHECK(next_in_windows(windows, at("2026-12-24 20:00")) == at("2026-12-27 08:00"));
    CHECK_FALSE(next_in_windows(windows, at("2026-12-27 20:00")));
    CHECK(next_in_windows({}, at("2026-12-27 20:00")) == at("2026-12-27 20:00"));
}
