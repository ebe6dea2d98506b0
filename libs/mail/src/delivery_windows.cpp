#include "postfleet/mail/delivery_windows.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "postfleet/base/text.hpp"

namespace postfleet {

namespace {

// Reads digits, signs and white space off the front.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}
    std::optional<int> digits(std::size_t count) {
        if (text_.size() < count) return std::nullopt;
        int value = 0;
        for (std::size_t i = 0; i < count; ++i) {
            if (text_[i] < '0' || text_[i] > '9') return std::nullopt;
            value = value * 10 + (text_[i] - '0');
        }
        text_.remove_prefix(count);
        return value;
    }
    bool take(char c) {
        if (text_.empty() || text_.front() != c) return false;
        text_.remove_prefix(1);
        return true;
    }
    bool skip_space() {
        const std::size_t before = text_.size();
        text_ = trim(text_);
        return text_.size() < before;
    }
    bool at_end() const { return text_.empty(); }

private:
    std::string_view text_;
};

// "+0100", "-05:00", "Z"; nothing: it is wrong.
std::optional<std::chrono::minutes> read_zone(Scanner& in) {
    if (in.at_end() || in.take('Z')) return std::chrono::minutes(0);
    const bool is_west = in.take('-');
    if (!is_west && !in.take('+')) return std::nullopt;
    const auto hours = in.digits(2);
    in.take(':');
    const auto minutes = in.digits(2);
    if (!hours || !minutes || *hours > 14 || *minutes > 59) return std::nullopt;
    const std::chrono::minutes offset(*hours * 60 + *minutes);
    return is_west ? -offset : offset;
}

std::optional<WallTime> parse_time(std::string_view text) {
    Scanner in(trim(text));
    const auto year = in.digits(4);
    const bool first = in.take('-');
    const auto month = in.digits(2);
    const bool second = in.take('-');
    const auto day = in.digits(2);
    if (!year || !first || !month || !second || !day) return std::nullopt;
    if (!in.take('T') && !in.skip_space()) return std::nullopt;
    const auto hour = in.digits(2);
    const bool third = in.take(':');
    const auto minute = in.digits(2);
    const auto seconds = in.take(':') ? in.digits(2) : std::optional(0);
    in.skip_space();
    const auto zone = read_zone(in);
    if (!hour || !third || !minute || !seconds || !zone || !in.at_end()) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok() || *hour > 23 || *minute > 59 || *seconds > 60) return std::nullopt;
    const auto midnight = std::chrono::sys_days(date).time_since_epoch();
    const auto time =
        midnight + std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*seconds) - *zone;
    return WallTime(std::chrono::duration_cast<WallTime::duration>(time));
}

Error wrong(std::string_view what, std::string_view text) {
    return {ErrorKind::InvalidArgument, std::string(what) + ": '" + printable(std::string(text), 80) + "'"};
}

}  // namespace

Result<std::vector<DeliveryWindow>> parse_delivery_windows(std::string_view text) {
    std::vector<DeliveryWindow> windows;
    for (std::string_view rest = text; !rest.empty() || windows.empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view part = trim(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        const std::size_t slash = part.find('/');
        if (slash == std::string_view::npos) return wrong("a window is start / end", part);
        const auto begin = parse_time(part.substr(0, slash)), end = parse_time(part.substr(slash + 1));
        if (!begin || !end) return wrong("a time is written as 2026-12-24 08:00 +0100", part);
        if (*end <= *begin) return wrong("the window ends before it begins", part);
        if (windows.size() == kMaxDeliveryWindows) return wrong("too many windows", part);
        windows.push_back({*begin, *end});
    }
    std::sort(windows.begin(), windows.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
    std::vector<DeliveryWindow> merged;
    for (const DeliveryWindow& window : windows) {
        if (!merged.empty() && window.begin <= merged.back().end) {
            merged.back().end = std::max(merged.back().end, window.end);
        } else {
            merged.push_back(window);
        }
    }
    return merged;
}

std::optional<WallTime> next_in_windows(std::span<const DeliveryWindow> windows, WallTime at) {
    if (windows.empty()) return at;
    for (const DeliveryWindow& window : windows) {
        if (at < window.end) return std::max(at, window.begin);
    }
    return std::nullopt;
}

}  // namespace postfleet
