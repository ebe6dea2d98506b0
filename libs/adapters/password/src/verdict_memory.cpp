#include "verdict_memory.hpp"

namespace postfleet::password {

Sha256Digest VerdictMemory::name_of(const StoredPassword& stored, std::string_view password) const {
    // The password's own digest, so that where one ends and the other begins is never in doubt.
    const Sha256Digest secret = digests_.hmac_sha256(key_, password);
    std::string pair(octets_of(secret));
    pair += stored.to_string();
    return digests_.hmac_sha256(key_, pair);
}

bool VerdictMemory::knows(const Sha256Digest& pair, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    forget_old(now);
    return pairs_.contains(pair);
}

void VerdictMemory::remember(const Sha256Digest& pair, SteadyTime now) {
    if (capacity_ == 0) return;
    const std::lock_guard lock(mutex_);
    forget_old(now);
    if (!pairs_.insert(pair).second) return;
    by_age_.emplace_back(now + keep_for_, pair);
    if (by_age_.size() <= capacity_) return;
    pairs_.erase(by_age_.front().second);
    by_age_.pop_front();
}

void VerdictMemory::forget_old(SteadyTime now) {
    while (!by_age_.empty() && by_age_.front().first <= now) {
        pairs_.erase(by_age_.front().second);
        by_age_.pop_front();
    }
}

std::size_t VerdictMemory::size() const {
    const std::lock_guard lock(mutex_);
    return pairs_.size();
}

}  // namespace postfleet::password
