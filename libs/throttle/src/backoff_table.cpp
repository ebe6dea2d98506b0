#include "postfleet/throttle/backoff_table.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::throttle {

namespace {

constexpr std::uint8_t kV4Bits = 24, kV6Bits = 64;

}  // namespace

Duration BackoffTable::wait(std::string_view key, SteadyTime now) const {
    const Entry* entry = find(key, now);
    return entry == nullptr ? Duration::zero() : std::max(Duration::zero(), entry->may_try_at - now);
}

std::uint32_t BackoffTable::failures(std::string_view key, SteadyTime now) const {
    const Entry* entry = find(key, now);
    return entry == nullptr ? 0 : entry->failures;
}

Duration BackoffTable::fail(std::string_view key, SteadyTime now) {
    if (rules_.capacity == 0) return Duration::zero();
    key = key.substr(0, kMaxKeyOctets);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) {
        if (entries_.size() == rules_.capacity) forget(std::prev(entries_.end()));
        entries_.push_front({std::string(key), 0, now, now});
        by_key_.emplace(entries_.front().key, entries_.begin());
    } else {
        if (is_forgotten(*found->second, now)) found->second->failures = 0;
        entries_.splice(entries_.begin(), entries_, found->second);
    }
    Entry& entry = entries_.front();
    if (entry.failures < UINT32_MAX) ++entry.failures;
    const Duration delay = delay_after(entry.failures);
    entry.last_failure = now;
    entry.may_try_at = now + delay;
    // Two of the oldest at most, so that no call takes long and forgotten keys do not stay for ever.
    for (int i = 0; i < 2 && is_forgotten(entries_.back(), now); ++i) forget(std::prev(entries_.end()));
    return delay;
}

void BackoffTable::succeed(std::string_view key) {
    const auto found = by_key_.find(key.substr(0, kMaxKeyOctets));
    if (found != by_key_.end()) forget(found->second);
}

const BackoffTable::Entry* BackoffTable::find(std::string_view key, SteadyTime now) const {
    const auto found = by_key_.find(key.substr(0, kMaxKeyOctets));
    return found == by_key_.end() || is_forgotten(*found->second, now) ? nullptr : &*found->second;
}

bool BackoffTable::is_forgotten(const Entry& entry, SteadyTime now) const {
    return now >= entry.may_try_at && now - entry.last_failure >= rules_.forget_after;
}

Duration BackoffTable::delay_after(std::uint32_t failures) const {
    if (failures <= rules_.free_failures) return Duration::zero();
    Duration delay = std::min(rules_.first_delay, rules_.longest_delay);
    for (std::uint32_t i = rules_.free_failures + 1; i < failures && delay < rules_.longest_delay; ++i) {
        if (delay <= Duration::zero()) return delay;
        delay = delay > rules_.longest_delay / 2 ? rules_.longest_delay : delay * 2;
    }
    return delay;
}

void BackoffTable::forget(Entries::iterator entry) {
    by_key_.erase(entry->key);
    entries_.erase(entry);
}

std::string network_key(const IpAddress& address) {
    return Network::around(address, address.v6 ? kV6Bits : kV4Bits).to_string();
}

std::string account_key(std::string_view user, const IpAddress& address) {
    // The network first, because a name may hold any character.
    std::string key = network_key(address);
    key += ' ';
    key += user;
    return key;
}

}  // namespace postfleet::throttle
