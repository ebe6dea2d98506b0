#include "times.hpp"

#include <charconv>

namespace postfleet::submission {
namespace {

constexpr std::int64_t kLatest = 253'402'300'799;  // the end of the year 9999

std::optional<int> number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.front() == '-') return std::nullopt;
    return value;
}

// "2026-12-24T08:00:00", the character between date and time being one of `separators`.
std::optional<WallTime> parse_clock(std::string_view text, std::string_view separators) {
    if (text.size() != 19 || text[4] != '-' || text[7] != '-' || separators.find(text[10]) == std::string_view::npos ||
        text[13] != ':' || text[16] != ':') {
        return std::nullopt;
    }
    const auto year = number(text.substr(0, 4)), month = number(text.substr(5, 2)), day = number(text.substr(8, 2));
    const auto hour = number(text.substr(11, 2)), minute = number(text.substr(14, 2)), second = number(text.substr(17));
    if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
    return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
           std::chrono::seconds(*second);
}

// "Z", "+01:00": how far ahead of UTC.
std::optional<std::chrono::minutes> parse_zone(std::string_view text) {
    if (text == "Z" || text == "z") return std::chrono::minutes(0);
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
    const auto hours = number(text.substr(1, 2)), minutes = number(text.substr(4));
    if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    const std::chrono::minutes ahead = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
    return text[0] == '-' ? -ahead : ahead;
}

}  // namespace

std::optional<WallTime> time_of_seconds(std::int64_t seconds) {
    if (seconds <= 0 || seconds > kLatest) return std::nullopt;
    return from_unix_microseconds(seconds * 1'000'000);
}

std::optional<WallTime> parse_time(std::string_view text) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc{} && end == text.data() + text.size()) return time_of_seconds(seconds);
    if (text.size() == 19) return parse_clock(text, " ");
    if (text.size() < 20) return std::nullopt;
    const auto clock = parse_clock(text.substr(0, 19), "Tt ");
    std::string_view rest = text.substr(19);
    if (rest.front() == '.') {
        const std::size_t digits = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
        if (digits < 2) return std::nullopt;
        rest.remove_prefix(digits);
    }
    const auto zone = parse_zone(rest);
    if (!clock || !zone) return std::nullopt;
    return *clock - *zone;
}

}  // namespace postfleet::submission
