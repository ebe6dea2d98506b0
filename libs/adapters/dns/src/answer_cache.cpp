#include "answer_cache.hpp"

namespace postfleet::dns {

std::optional<MxAnswer> AnswerCache::find(const std::string& key, SteadyTime now) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return std::nullopt;
    if (found->second->expires_at <= now) {
        entries_.erase(found->second);
        by_key_.erase(found);
        return std::nullopt;
    }
    entries_.splice(entries_.begin(), entries_, found->second);
    MxAnswer answer = found->second->answer;
    answer.time_to_live = found->second->expires_at - now;
    return answer;
}

void AnswerCache::put(const std::string& key, const MxAnswer& answer, SteadyTime now) {
    if (capacity_ == 0) return;
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
        entries_.erase(found->second);
        by_key_.erase(found);
    }
    if (entries_.size() >= capacity_) {
        by_key_.erase(entries_.back().key);
        entries_.pop_back();
    }
    entries_.push_front({key, answer, now + answer.time_to_live});
    by_key_[key] = entries_.begin();
}

}  // namespace postfleet::dns
