#include "outbox.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::spool {

void Outbox::start(std::uint64_t last_number, std::map<std::string, std::uint64_t> cursors) {
    std::lock_guard lock(mutex_);
    last_number_ = last_number;
    for (auto& [name, number] : cursors) cursors_[name].number = std::min(number, last_number);
}

void Outbox::append(std::vector<Written> events) {
    if (events.empty()) return;
    std::lock_guard lock(mutex_);
    last_number_.fetch_add(events.size(), std::memory_order_release);
    for (auto& event : events) {
        tail_used_ += event.octets;
        tail_.push_back(std::move(event));
    }
    while (tail_used_ > tail_octets_ && !tail_.empty()) {
        tail_used_ -= tail_.front().octets;
        tail_.pop_front();
    }
    if (readers_known_ && cursors_.empty()) update_passed();
    if (waiting_ > 0) arrived_.notify_all();
}

std::optional<std::vector<LoggedEvent>> Outbox::read_tail(std::uint64_t after, std::size_t max_events) const {
    std::lock_guard lock(mutex_);
    auto last = last_number_.load(std::memory_order_relaxed);
    if (after >= last) return std::vector<LoggedEvent>{};
    auto before_first = last - tail_.size();
    if (after < before_first) return std::nullopt;
    std::vector<LoggedEvent> events;
    auto skip = after - before_first;
    events.reserve(std::min<std::size_t>(max_events, tail_.size() - skip));
    for (auto i = skip; i < tail_.size() && events.size() < max_events; i++) {
        events.push_back({before_first + i + 1, tail_[i].event});
    }
    return events;
}

std::optional<std::uint64_t> Outbox::octets_of_tail(std::uint64_t after) const {
    std::lock_guard lock(mutex_);
    auto last = last_number_.load(std::memory_order_relaxed);
    if (after >= last) return 0;
    auto before_first = last - tail_.size();
    if (after < before_first) return std::nullopt;
    std::uint64_t octets = 0;
    for (auto i = after - before_first; i < tail_.size(); i++) octets += tail_[i].octets;
    return octets;
}

void Outbox::wait(std::uint64_t after, SteadyTime until) {
    std::unique_lock lock(mutex_);
    waiting_++;
    arrived_.wait_until(lock, until, [&] { return stopped_ || last_number_.load() > after; });
    waiting_--;
}

void Outbox::stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    arrived_.notify_all();
}

std::uint64_t Outbox::open_cursor(const std::string& name, std::uint64_t oldest) {
    std::lock_guard lock(mutex_);
    readers_known_ = true;
    auto [cursor, is_new] = cursors_.try_emplace(name, Cursor{oldest, true});
    if (is_new) any_moved_ = true;
    update_passed();
    return cursor->second.number;
}

bool Outbox::has_cursor(const std::string& name) const {
    std::lock_guard lock(mutex_);
    return cursors_.contains(name);
}

std::map<std::string, std::uint64_t> Outbox::cursors() const {
    std::lock_guard lock(mutex_);
    std::map<std::string, std::uint64_t> all;
    for (const auto& [name, cursor] : cursors_) all.emplace(name, cursor.number);
    return all;
}

std::vector<std::string> Outbox::keep_only_cursors(const std::vector<std::string>& names) {
    std::lock_guard lock(mutex_);
    readers_known_ = true;
    std::vector<std::string> gone;
    for (auto at = cursors_.begin(); at != cursors_.end();) {
        if (std::ranges::find(names, at->first) != names.end()) {
            ++at;
            continue;
        }
        gone.push_back(at->first);
        at = cursors_.erase(at);
    }
    update_passed();
    return gone;
}

bool Outbox::advance(const std::string& name, std::uint64_t number) {
    std::lock_guard lock(mutex_);
    auto found = cursors_.find(name);
    if (found == cursors_.end()) return false;
    number = std::min(number, last_number_.load());
    if (number <= found->second.number) return true;
    found->second = {number, true};
    any_moved_ = true;
    update_passed();
    return true;
}

std::vector<std::pair<std::string, std::uint64_t>> Outbox::take_moved() {
    std::vector<std::pair<std::string, std::uint64_t>> moved;
    if (!has_moved()) return moved;
    std::lock_guard lock(mutex_);
    any_moved_ = false;
    for (auto& [name, cursor] : cursors_) {
        if (std::exchange(cursor.moved, false)) moved.emplace_back(name, cursor.number);
    }
    return moved;
}

void Outbox::give_back(const std::vector<std::pair<std::string, std::uint64_t>>& moved) {
    std::lock_guard lock(mutex_);
    for (auto& [name, number] : moved) {
        auto found = cursors_.find(name);
        if (found == cursors_.end()) continue;
        found->second.moved = true;
        any_moved_ = true;
    }
}

void Outbox::update_passed() {
    auto passed = last_number_.load(std::memory_order_relaxed);
    for (auto& [name, cursor] : cursors_) passed = std::min(passed, cursor.number);
    // Never back: what was passed may be gone already.
    if (readers_known_ && passed > passed_.load(std::memory_order_relaxed)) passed_ = passed;
}

}  // namespace postfleet::spool
