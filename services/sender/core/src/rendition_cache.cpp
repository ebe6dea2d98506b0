#include "rendition_cache.hpp"

#include <utility>

#include "postfleet/base/require.hpp"

namespace postfleet::sender {

namespace {

void tell(Completion<RenditionOutcome>&& waiter, RenditionOutcome outcome) {
    Executor& on = *waiter.on;
    on.post([run = std::move(waiter.run), outcome = std::move(outcome)]() mutable { run(std::move(outcome)); });
}

}  // namespace

// A look-up's worth, so that even many small entries stay within the limit.
std::uint64_t RenditionCache::memory_of(const Entry& entry) {
    constexpr std::uint64_t kEntryOctets = 200;
    return kEntryOctets + (entry.rendition ? entry.rendition->memory() : 0);
}

bool RenditionCache::join(const RenditionKey& key, WallTime now, Completion<RenditionOutcome> waiter) {
    RenditionOutcome made;
    {
        const std::lock_guard lock(mutex_);
        const auto [at, is_new] = entries_.try_emplace(key);
        Entry& entry = at->second;
        const bool is_stale = entry.is_made && entry.rendition && entry.rendition->is_stale(now);
        if (is_stale) {
            used_ -= memory_of(entry);
            by_use_.erase(entry.place);
            entry = {};
        }
        if (!entry.is_made) {
            entry.waiters.push_back(std::move(waiter));
            return is_new || is_stale;
        }
        by_use_.splice(by_use_.begin(), by_use_, entry.place);
        made.rendition = entry.rendition;
    }
    tell(std::move(waiter), std::move(made));
    return false;
}

void RenditionCache::settle(const RenditionKey& key, const RenditionOutcome& outcome) {
    std::vector<Completion<RenditionOutcome>> waiters;
    {
        const std::lock_guard lock(mutex_);
        const auto at = entries_.find(key);
        require(at != entries_.end() && !at->second.is_made);
        waiters = std::exchange(at->second.waiters, {});
        if (outcome.kind != RenditionOutcome::Kind::Ready) {
            entries_.erase(at);
        } else {
            at->second.is_made = true;
            at->second.rendition = outcome.rendition;
            at->second.place = by_use_.insert(by_use_.begin(), key);
            used_ += memory_of(at->second);
            make_room_locked();
        }
    }
    for (Completion<RenditionOutcome>& waiter : waiters) tell(std::move(waiter), outcome);
}

std::uint64_t RenditionCache::used() const {
    const std::lock_guard lock(mutex_);
    return used_;
}

void RenditionCache::make_room_locked() {
    while (used_ > limit_) {
        const auto oldest = entries_.find(by_use_.back());
        used_ -= memory_of(oldest->second);
        entries_.erase(oldest);
        by_use_.pop_back();
    }
}

}  // namespace postfleet::sender
