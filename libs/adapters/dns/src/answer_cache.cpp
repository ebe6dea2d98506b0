#include "answer_cache.hpp"

namespace postfleet::dns {

namespace {

std::size_t octets_of(const std::string& text) { return sizeof text + text.capacity(); }
std::size_t octets_of(const TlsaRecord& record) { return sizeof record + record.association.capacity(); }
std::size_t octets_of(const MxHost& host) {
    return sizeof host + host.name.capacity() + host.canonical_name.capacity() +
           host.addresses.capacity() * sizeof(IpAddress);
}
template <class Parts>
std::size_t octets_of_all(const Parts& parts) {
    std::size_t sum = 0;
    for (const auto& part : parts) sum += octets_of(part);
    return sum;
}
std::size_t content_of(const MxAnswer& answer) { return octets_of_all(answer.hosts) + answer.text.capacity(); }
template <class Record>
std::size_t content_of(const RecordAnswer<Record>& answer) {
    return octets_of_all(answer.records) + answer.text.capacity();
}

}  // namespace

Duration time_to_live_of(const Answer& answer) {
    return std::visit([](const auto& of_type) { return of_type.time_to_live; }, answer);
}

std::optional<Answer> AnswerCache::find(const std::string& key, SteadyTime now) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return std::nullopt;
    const auto entry = found->second;
    if (entry->expires_at <= now) {
        drop(entry);
        return std::nullopt;
    }
    entries_.splice(entries_.begin(), entries_, entry);
    Answer answer = entry->answer;
    std::visit([&](auto& of_type) { of_type.time_to_live = entry->expires_at - now; }, answer);
    return answer;
}

void AnswerCache::put(const std::string& key, const Answer& answer, SteadyTime now) {
    if (const auto found = by_key_.find(key); found != by_key_.end()) drop(found->second);
    // The key stands in the list and in the index.
    const auto octets = sizeof(Entry) + 2 * octets_of(key) +
                        std::visit([](const auto& of_type) { return content_of(of_type); }, answer);
    if (limits_.answers == 0 || octets > limits_.octets) return;
    while (entries_.size() >= limits_.answers || octets_ + octets > limits_.octets) drop(std::prev(entries_.end()));
    entries_.push_front({key, answer, now + time_to_live_of(answer), octets});
    by_key_[key] = entries_.begin();
    octets_ += octets;
}

void AnswerCache::drop(Entries::iterator entry) {
    octets_ -= entry->octets;
    by_key_.erase(entry->key);
    entries_.erase(entry);
}

}  // namespace postfleet::dns
