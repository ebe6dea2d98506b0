#include "postfleet/control/json_view.hpp"

#include <boost/json.hpp>
#include <charconv>
#include <cstdio>

namespace postfleet::control {

std::string JsonView::text(const char* name) const {
    const boost::json::value* member = find(name);
    return member != nullptr && member->is_string() ? std::string(member->as_string()) : std::string();
}

std::uint64_t JsonView::count(const char* name) const {
    const boost::json::value* member = find(name);
    if (member == nullptr || !member->is_number()) return 0;
    boost::system::error_code error;
    const auto count = member->to_number<std::uint64_t>(error);
    return error ? 0 : count;
}

double JsonView::number(const char* name) const {
    const boost::json::value* member = find(name);
    return member != nullptr && member->is_number() ? member->to_number<double>() : 0;
}

bool JsonView::flag(const char* name) const {
    const boost::json::value* member = find(name);
    return member != nullptr && member->is_bool() && member->as_bool();
}

// The RFC 3339 times that our own JsonWriter side makes: UTC, with or without a fraction.
std::optional<WallTime> JsonView::time(const char* name) const {
    const std::string written = text(name);
    int year = 0, hour = 0, minute = 0;
    unsigned month = 0, day = 0;
    double second = 0;
    const int read =
        std::sscanf(written.c_str(), "%4d-%2u-%2uT%2d:%2d:%lfZ", &year, &month, &day, &hour, &minute, &second);
    if (read != 6) return std::nullopt;
    const auto date = std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
    if (!date.ok()) return std::nullopt;
    return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::microseconds(static_cast<std::int64_t>(second * 1e6));
}

JsonView JsonView::object(const char* name) const {
    static const boost::json::value kEmpty = boost::json::object();
    const boost::json::value* member = find(name);
    return JsonView(member != nullptr && member->is_object() ? *member : kEmpty);
}

const boost::json::array& JsonView::array(const char* name) const {
    static const boost::json::array kEmpty;
    const boost::json::value* member = find(name);
    return member != nullptr && member->is_array() ? member->as_array() : kEmpty;
}

const boost::json::value* JsonView::find(const char* name) const {
    return value_->is_object() ? value_->as_object().if_contains(name) : nullptr;
}

Result<boost::json::value> parse_answer(const std::string& json) {
    boost::system::error_code error;
    boost::json::value document = boost::json::parse(json, error);
    if (!error) return document;
    return Error{ErrorKind::InvalidArgument,
                 "the process answered with something that is not JSON: " + error.message()};
}

}  // namespace postfleet::control
