#include "postfleet/throttle/keyed_meters.hpp"

namespace postfleet::throttle {

Duration KeyedMeters::take(std::string_view key, SteadyTime now, const Allowance& allowance) {
    if (allowance.is_unlimited()) return {};
    key = key.substr(0, kMaxKeyOctets);
    const auto found = by_key_.find(key);
    if (found != by_key_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
    } else {
        if (entries_.size() >= capacity_ && !entries_.empty()) {
            by_key_.erase(entries_.back().key);
            entries_.pop_back();
        }
        entries_.emplace_front(key);
        by_key_.emplace(entries_.front().key, entries_.begin());
    }
    return entries_.front().meter.take(now, allowance);
}

void KeyedMeters::give_back(std::string_view key, const Allowance& allowance) {
    if (allowance.is_unlimited()) return;
    const auto found = by_key_.find(key.substr(0, kMaxKeyOctets));
    if (found != by_key_.end()) found->second->meter.give_back(allowance);
}

}  // namespace postfleet::throttle
