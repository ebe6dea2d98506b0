#include "session_cache.hpp"

#include <utility>

namespace postfleet::tls {

void SessionCache::put(const std::string& key, SessionPointer session) {
    if (capacity_ == 0) return;
    // Freed after the lock is gone.
    std::list<Entry> dropped;
    const std::lock_guard lock(mutex_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
        std::swap(found->second->session, session);
        entries_.splice(entries_.begin(), entries_, found->second);
        dropped.push_back({{}, std::move(session)});
        return;
    }
    entries_.push_front({key, std::move(session)});
    by_key_.emplace(entries_.front().key, entries_.begin());
    if (entries_.size() <= capacity_) return;
    by_key_.erase(entries_.back().key);
    dropped.splice(dropped.begin(), entries_, std::prev(entries_.end()));
}

SessionPointer SessionCache::get(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return SessionPointer(SSL_SESSION_dup(found->second->session.get()));
}

void SessionCache::forget(const std::string& key) {
    std::list<Entry> dropped;
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    const auto entry = found->second;
    by_key_.erase(found);
    dropped.splice(dropped.begin(), entries_, entry);
}

std::size_t SessionCache::size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
}

}  // namespace postfleet::tls
