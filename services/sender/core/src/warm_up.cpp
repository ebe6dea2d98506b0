#include "warm_up.hpp"

#include <algorithm>
#include <charconv>

namespace postfleet::sender {

namespace {

constexpr Duration kDay = std::chrono::hours(24);
constexpr std::uint32_t kBlocks = 50;  // of a day's limit

// Takes a number and the space behind it off the text.
std::optional<std::int64_t> take_number(std::string_view& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || value < 0) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.empty()) text.remove_prefix(1);
    return value;
}

}  // namespace

std::int64_t WarmUp::date_of(WallTime now) {
    return std::chrono::floor<std::chrono::days>(now.time_since_epoch()).count();
}

WallTime WarmUp::next_day(WallTime now) {
    return WallTime(std::chrono::duration_cast<WallTime::duration>(kDay) * (date_of(now) + 1));
}

std::uint32_t WarmUp::limit(Limits limits, std::uint32_t day) {
    return limits[std::min<std::size_t>(std::max(day, 1u), limits.size()) - 1];
}

std::uint32_t WarmUp::left(Limits limits, WallTime now) const {
    if (limits.empty()) return UINT32_MAX;
    if (date_of(now) > date_) return limit(limits, day_ + 1);
    const std::uint32_t most = limit(limits, day_);
    return used_ < most ? most - used_ : 0;
}

WarmUp::Grant WarmUp::take(Limits limits, std::uint32_t wanted, WallTime now) {
    Grant grant;
    if (limits.empty()) {
        grant.recipients = wanted;
        return grant;
    }
    if (date_of(now) > date_) {  // a clock that is set back does not begin another day
        date_ = date_of(now);
        ++day_;
        used_ = kept_ = 0;
    }
    const std::uint32_t most = limit(limits, day_);
    grant.recipients = std::min(wanted, std::min(kept_, std::max(most, used_)) - used_);
    used_ += grant.recipients;
    const std::uint32_t block = std::max(1u, most / kBlocks), missing = wanted - grant.recipients;
    if (is_writing_ || kept_ >= most || kept_ - used_ >= std::max(block, missing)) return grant;
    writing_ = std::min(most, used_ + std::max(2 * block, missing));
    writing_date_ = date_;
    is_writing_ = true;
    grant.note = std::to_string(day_) + ' ' + std::to_string(date_) + ' ' + std::to_string(writing_);
    return grant;
}

void WarmUp::on_kept(Kept kept) {
    is_writing_ = false;
    if (kept == Kept::Yes && writing_date_ == date_) kept_ = std::max(kept_, writing_);
}

void WarmUp::restore(std::string_view note) {
    const auto day = take_number(note), date = take_number(note), kept = take_number(note);
    if (!day || !date || !kept) return;
    day_ = static_cast<std::uint32_t>(*day);
    date_ = *date;
    used_ = kept_ = static_cast<std::uint32_t>(*kept);
}

std::string WarmUp::describe(Limits limits, WallTime now) const {
    if (limits.empty() || day_ == 0) return {};
    const std::uint32_t used = date_of(now) > date_ ? 0 : std::min(used_, limit(limits, day_));
    const std::uint32_t day = date_of(now) > date_ ? day_ + 1 : day_;
    return "day " + std::to_string(day) + ": " + std::to_string(used) + " of " + std::to_string(limit(limits, day));
}

}  // namespace postfleet::sender
