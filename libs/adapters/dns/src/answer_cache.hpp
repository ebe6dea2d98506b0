// AnswerCache: answers by what was asked until they expire. It is full at so many answers or at so many octets,
// whichever comes first; then the one that was not asked for longest goes. Threads: externally locked.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "lookup.hpp"

namespace postfleet::dns {

class AnswerCache {
public:
    struct Limits {
        std::size_t answers = 0;
        std::size_t octets = 0;
    };
    explicit AnswerCache(Limits limits) : limits_(limits) {}

    // With the time that is left to it.
    std::optional<Answer> find(const std::string& key, SteadyTime now);
    void put(const std::string& key, const Answer& answer, SteadyTime now);
    std::size_t size() const { return entries_.size(); }
    std::size_t octets() const { return octets_; }

private:
    struct Entry {
        std::string key;
        Answer answer;
        SteadyTime expires_at;
        std::size_t octets = 0;
    };
    using Entries = std::list<Entry>;  // last used first
    void drop(Entries::iterator entry);

    const Limits limits_;
    Entries entries_;
    std::unordered_map<std::string, Entries::iterator> by_key_;
    std::size_t octets_ = 0;
};

Duration time_to_live_of(const Answer& answer);

}  // namespace postfleet::dns
