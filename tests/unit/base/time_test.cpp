#include "postfleet/base/time.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace std::chrono_literals;

namespace {

WallTime at(int year, unsigned month, unsigned day, Duration of_day = {}) {
    using namespace std::chrono;
    return WallTime(sys_days(std::chrono::year(year) / month / day)) + duration_cast<microseconds>(of_day);
}

}  // namespace

TEST_CASE("times are written as RFC 3339 and RFC 5322 have them", "[rfc3339-5.6][rfc5322-3.3]") {
    const WallTime time = at(2026, 11, 22, 10h + 11min + 12s + 345678us);
    CHECK(format_rfc3339(time) == "2026-11-22T10:11:12.345678Z");
    CHECK(format_rfc5322_date(time) == "Sun, 22 Nov 2026 10:11:12 +0000");
    CHECK(format_rfc3339(WallTime{}) == "1970-01-01T00:00:00.000000Z");
    CHECK(format_rfc5322_date(WallTime{}) == "Thu, 01 Jan 1970 00:00:00 +0000");
    CHECK(format_rfc3339(WallTime(-1us)) == "1969-12-31T23:59:59.999999Z");
    CHECK(format_rfc3339(at(2024, 2, 29, 23h + 59min + 59s)) == "2024-02-29T23:59:59.000000Z");
    CHECK(format_rfc5322_date(at(2024, 3, 1)) == "Fri, 01 Mar 2024 00:00:00 +0000");
    CHECK(format_rfc5322_date(at(2000, 12, 31)) == "Sun, 31 Dec 2000 00:00:00 +0000");
}

TEST_CASE("a year has four digits, come what may") {
    CHECK(format_rfc3339(WallTime::max()) == "9999-12-31T23:59:59.999999Z");
    CHECK(format_rfc3339(WallTime::min()) == "0000-01-01T00:00:00.000000Z");
    CHECK(format_rfc5322_date(WallTime::max()).size() == 31);
}

TEST_CASE("microseconds since 1970 come back") {
    for (const std::int64_t n :
         {std::int64_t{0}, std::int64_t{-1}, INT64_MAX, INT64_MIN, std::int64_t{1'700'000'000'000'000}}) {
        CHECK(to_unix_microseconds(from_unix_microseconds(n)) == n);
    }
}

TEST_CASE("durations are written with the configuration's units") {
    CHECK(format_duration(0s) == "0");
    CHECK(format_duration(250ms) == "250ms");
    CHECK(format_duration(90min) == "1h30m");
    CHECK(format_duration(108h) == "4d12h");
    CHECK(format_duration(24h) == "1d");
    CHECK(format_duration(61s + 5ms) == "1m1s5ms");
    CHECK(format_duration(1500us) == "1ms500us");
    CHECK(format_duration(1ns) == "1ns");
    CHECK(format_duration(-90s) == "-1m30s");
}

TEST_CASE("durations come back from their text") {
    CHECK(*parse_duration("0") == 0s);
    CHECK(*parse_duration("0s") == 0s);
    CHECK(*parse_duration("10m") == 10min);
    CHECK(*parse_duration("4d12h") == 108h);
    CHECK(*parse_duration("90m") == 90min);
    CHECK(*parse_duration("1h0m5s") == 1h + 5s);
    CHECK(*parse_duration("007ms") == 7ms);
    for (const Duration duration : {Duration(1), Duration(999'999'999), Duration(12h + 34min + 56s + 789ms),
                                    Duration::max(), Duration(365 * 24h)}) {
        CHECK(*parse_duration(format_duration(duration)) == duration);
    }
}

TEST_CASE("what is no duration is refused with advice") {
    const auto text =
        GENERATE(as<std::string>(), "", "5", "h", "1x", "1 h", " 1h", "1h ", "-1h", "1.5h", "1h30", "30m1h", "1h1h",
                 "1H", "1mss", "99999999999999999999s", "106752d", "106751d99999h", "1d\n");
    CAPTURE(text);
    const auto duration = parse_duration(text);
    REQUIRE_FALSE(duration);
    CHECK(duration.error().kind == ErrorKind::InvalidArgument);
    CHECK_THAT(duration.error().text, Catch::Matchers::Contains("1h30m"));
}

TEST_CASE("the advice names what is wrong") {
    using Catch::Matchers::Contains;
    CHECK_THAT(parse_duration("30m1h").error().text, Contains("large to small"));
    CHECK_THAT(parse_duration("1x").error().text, Contains("unknown unit"));
    CHECK_THAT(parse_duration("5").error().text, Contains("a unit is missing"));
}

TEST_CASE("the clocks run") {
    CHECK(wall_clock_now() > at(2024, 1, 1));
    const SteadyTime before = steady_clock_now();
    CHECK(steady_clock_now() >= before);
}
