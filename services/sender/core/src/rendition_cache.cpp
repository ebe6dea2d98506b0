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

bool RenditionCache::join(const RenditionKey& key, Completion<RenditionOutcome> waiter) {
    RenditionOutcome made;
    {
        const std::lock_guard lock(mutex_);
        const auto [at, is_new] = entries_.try_emplace(key);
        Entry& entry = at->second;
        if (!entry.rendition) {
            entry.waiters.push_back(std::move(waiter));
            return is_new;
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
        require(at != entries_.end() && !at->second.rendition);
        waiters = std::exchange(at->second.waiters, {});
        if (outcome.kind != RenditionOutcome::Kind::Ready || outcome.rendition->memory() > limit_) {
            entries_.erase(at);
        } else {
            at->second.rendition = outcome.rendition;
            at->second.place = by_use_.insert(by_use_.begin(), key);
            used_ += outcome.rendition->memory();
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
        used_ -= oldest->second.rendition->memory();
        entries_.erase(oldest);
        by_use_.pop_back();
    }
}

}  // namespace postfleet::sender
