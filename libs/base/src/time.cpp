#include "postfleet/base/time.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include <fmt/format.h>

#include "postfleet/base/text.hpp"

namespace postfleet {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t nanoseconds;
};
// Largest first; "m" after "ms" never matters because names are compared whole.
constexpr std::array kUnits{Unit{"d", 86'400'000'000'000},
                            Unit{"h", 3'600'000'000'000},
                            Unit{"m", 60'000'000'000},
                            Unit{"s", 1'000'000'000},
                            Unit{"ms", 1'000'000},
                            Unit{"us", 1'000},
                            Unit{"ns", 1}};

// A calendar reading, without locale or time zone tables.
struct Civil {
    int year;
    unsigned month, day, weekday, hour, minute, second, microsecond;
};

Civil civil(WallTime time) {
    using namespace std::chrono;
    // Four-digit years only: both RFCs know nothing else.
    time = std::clamp(time, WallTime(sys_days(year(0) / 1 / 1)),
                      WallTime(sys_days(year(10000) / 1 / 1)) - microseconds(1));
    const sys_days day = floor<days>(time);
    const year_month_day date(day);
    const auto of_day = static_cast<std::uint64_t>((time - WallTime(day)).count());
    const auto seconds_of_day = static_cast<unsigned>(of_day / 1'000'000);
    return {static_cast<int>(date.year()),
            static_cast<unsigned>(date.month()),
            static_cast<unsigned>(date.day()),
            weekday(day).c_encoding(),
            seconds_of_day / 3600,
            seconds_of_day / 60 % 60,
            seconds_of_day % 60,
            static_cast<unsigned>(of_day % 1'000'000)};
}

void put_digits(char* to, unsigned value, int digits) {
    for (int i = digits - 1; i >= 0; --i, value /= 10) to[i] = static_cast<char>('0' + value % 10);
}

}  // namespace

WallTime wall_clock_now() { return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now()); }

SteadyTime steady_clock_now() { return std::chrono::steady_clock::now(); }
SteadyTime steady_clock_with_suspend() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return SteadyTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

std::int64_t to_unix_microseconds(WallTime time) { return time.time_since_epoch().count(); }

WallTime from_unix_microseconds(std::int64_t microseconds) { return WallTime(std::chrono::microseconds(microseconds)); }

std::string format_rfc3339(WallTime time) {
    const Civil c = civil(time);
    std::string text = "0000-00-00T00:00:00.000000Z";
    put_digits(&text[0], static_cast<unsigned>(c.year), 4);
    put_digits(&text[5], c.month, 2);
    put_digits(&text[8], c.day, 2);
    put_digits(&text[11], c.hour, 2);
    put_digits(&text[14], c.minute, 2);
    put_digits(&text[17], c.second, 2);
    put_digits(&text[20], c.microsecond, 6);
    return text;
}

std::string format_rfc5322_date(WallTime time) {
    static constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
    static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const Civil c = civil(time);
    std::string text = "Ddd, 00 Mmm 0000 00:00:00 +0000";
    kDays.copy(&text[0], 3, c.weekday * 3);
    put_digits(&text[5], c.day, 2);
    kMonths.copy(&text[8], 3, (c.month - 1) * 3);
    put_digits(&text[12], static_cast<unsigned>(c.year), 4);
    put_digits(&text[17], c.hour, 2);
    put_digits(&text[20], c.minute, 2);
    put_digits(&text[23], c.second, 2);
    return text;
}

std::string format_duration(Duration duration) {
    if (duration == Duration::zero()) return "0";
    std::string text;
    auto left = static_cast<std::uint64_t>(duration.count());
    if (duration < Duration::zero()) {
        text += '-';
        left = 0 - left;
    }
    for (const Unit& unit : kUnits) {
        if (left < unit.nanoseconds) continue;
        fmt::format_to(std::back_inserter(text), "{}{}", left / unit.nanoseconds, unit.name);
        left %= unit.nanoseconds;
    }
    return text;
}

Result<Duration> parse_duration(std::string_view text) {
    const auto wrong = [&](const char* why) {
        return Error{ErrorKind::InvalidArgument,
                     fmt::format("\"{}\" is not a duration: {}; write a number with a unit (ms s m h d), as in 1h30m",
                                 printable(text, 40), why)};
    };
    if (text == "0") return Duration::zero();
    if (text.empty()) return wrong("it is empty");
    constexpr auto kLongest = static_cast<std::uint64_t>(INT64_MAX);
    std::uint64_t sum = 0;
    auto unit = kUnits.begin();
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at != end) {
        std::uint64_t number = 0;
        const auto [rest, error] = std::from_chars(at, end, number);
        if (error == std::errc::result_out_of_range) return wrong("too long");
        if (error != std::errc()) return wrong("a number is missing");
        at = std::find_if(rest, end, [](char c) { return c >= '0' && c <= '9'; });
        const std::string_view name(rest, static_cast<std::size_t>(at - rest));
        if (name.empty()) return wrong("a unit is missing");
        const auto is_named = [&](const Unit& known) { return known.name == name; };
        const auto found = std::find_if(unit, kUnits.end(), is_named);
        if (found == kUnits.end()) {
            const bool is_known = std::any_of(kUnits.begin(), unit, is_named);
            return wrong(is_known ? "units go from large to small, each once" : "unknown unit");
        }
        if (number > (kLongest - sum) / found->nanoseconds) return wrong("too long");
        sum += number * found->nanoseconds;
        unit = found + 1;
    }
    return Duration(static_cast<std::int64_t>(sum));
}

}  // namespace postfleet
