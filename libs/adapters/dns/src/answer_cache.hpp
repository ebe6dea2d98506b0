// AnswerCache: answers by name until they expire; the one that was not asked for longest goes first when it
// is full. Threads: externally locked.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "postfleet/ports/resolver.hpp"

namespace postfleet::dns {

class AnswerCache {
public:
    explicit AnswerCache(std::size_t capacity) : capacity_(capacity) {}

    // With the time that is left to it.
    std::optional<MxAnswer> find(const std::string& key, SteadyTime now);
    void put(const std::string& key, const MxAnswer& answer, SteadyTime now);
    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        std::string key;
        MxAnswer answer;
        SteadyTime expires_at;
    };
    using Entries = std::list<Entry>;  // last used first

    const std::size_t capacity_;
    Entries entries_;
    std::unordered_map<std::string, Entries::iterator> by_key_;
};

}  // namespace postfleet::dns
