#include "peer_memory.hpp"

#include <algorithm>

namespace postfleet::sender {

SteadyTime PeerMemory::Entry::ends_at() const { return std::max({avoid_until, plain_until, clear_until, cut_until}); }

const PeerMemory::Entry* PeerMemory::find_locked(const Endpoint& peer) const {
    const auto found = entries_.find(peer);
    return found == entries_.end() ? nullptr : &found->second;
}

PeerMemory::Entry& PeerMemory::entry_locked(const Endpoint& peer, SteadyTime now) {
    const auto found = entries_.find(peer);
    if (found != entries_.end()) return found->second;
    if (entries_.size() >= kMaxHosts) make_room_locked(now);
    is_empty_.store(false, std::memory_order_relaxed);
    return entries_[peer];
}

// All that has ended goes, so that the walk over everything is rare; if nothing has, the one that ends first.
void PeerMemory::make_room_locked(SteadyTime now) {
    std::erase_if(entries_, [now](const auto& item) { return item.second.ends_at() <= now; });
    if (entries_.size() < kMaxHosts) return;
    entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
        return a.second.ends_at() < b.second.ends_at();
    }));
}

void PeerMemory::on_unreachable(const Endpoint& peer, SteadyTime now) {
    constexpr std::uint32_t kMostDoublings = 4;
    const std::lock_guard lock(mutex_);
    Entry& entry = entry_locked(peer, now);
    if (now < entry.avoid_until) return;  // several connections were under way: one failure
    const Duration avoid = kFirstAvoidance * (1 << std::min(entry.failures, kMostDoublings));
    entry.avoid_until = now + std::min<Duration>(avoid, kRemember);
    ++entry.failures;
}

void PeerMemory::on_reachable(const Endpoint& peer) {
    if (is_empty_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(peer);
    if (found == entries_.end()) return;
    found->second.avoid_until = SteadyTime::min();
    found->second.failures = 0;
}

bool PeerMemory::is_unreachable(const Endpoint& peer, SteadyTime now) const {
    if (is_empty_.load(std::memory_order_relaxed)) return false;
    const std::lock_guard lock(mutex_);
    const Entry* entry = find_locked(peer);
    return entry != nullptr && now < entry->avoid_until;
}

void PeerMemory::on_out_of_step(const Endpoint& peer, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    entry_locked(peer, now).plain_until = now + kRemember;
}

bool PeerMemory::may_pipeline(const Endpoint& peer, SteadyTime now) const {
    if (is_empty_.load(std::memory_order_relaxed)) return true;
    const std::lock_guard lock(mutex_);
    const Entry* entry = find_locked(peer);
    return entry == nullptr || now >= entry->plain_until;
}

void PeerMemory::on_tls_failed(const Endpoint& peer, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    entry_locked(peer, now).clear_until = now + kNoTls;
}

bool PeerMemory::may_try_tls(const Endpoint& peer, SteadyTime now) const {
    if (is_empty_.load(std::memory_order_relaxed)) return true;
    const std::lock_guard lock(mutex_);
    const Entry* entry = find_locked(peer);
    return entry == nullptr || now >= entry->clear_until;
}

bool PeerMemory::on_cut_after(const Endpoint& peer, std::uint32_t transactions, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    Entry& entry = entry_locked(peer, now);
    if (now >= entry.cut_until) {
        entry.limit = kNoLimit;
        entry.cut_after = 0;
    }
    const bool again = entry.cut_after == transactions;
    const bool news = again && entry.limit != transactions;
    if (again) entry.limit = transactions;
    entry.cut_after = transactions;
    entry.cut_until = now + kRemember;
    return news;
}

std::uint32_t PeerMemory::max_transactions(const Endpoint& peer, SteadyTime now) const {
    if (is_empty_.load(std::memory_order_relaxed)) return kNoLimit;
    const std::lock_guard lock(mutex_);
    const Entry* entry = find_locked(peer);
    return entry != nullptr && now < entry->cut_until ? entry->limit : kNoLimit;
}

std::size_t PeerMemory::size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
}

}  // namespace postfleet::sender
