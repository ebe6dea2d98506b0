// KeyedMeters: RateMeters by a text that strangers choose. Bounded.
//
// Full, the key that was looked at longest ago is forgotten, and what it had used with it; a limit over all keys stops
// those who push others out.
//
// Threads: a value type; whoever shares it guards it. Time comes in as an argument.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "postfleet/throttle/rate_meter.hpp"

namespace postfleet::throttle {

class KeyedMeters final {
public:
    static constexpr std::size_t kMaxKeyOctets = 512;  // what is longer is cut

    explicit KeyedMeters(std::size_t capacity = 16'384) : capacity_(capacity) {}
    KeyedMeters(const KeyedMeters&) = delete;
    KeyedMeters& operator=(const KeyedMeters&) = delete;

    // As the RateMeter's.
    Duration take(std::string_view key, SteadyTime now, const Allowance& allowance);
    void give_back(std::string_view key, const Allowance& allowance);

    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        explicit Entry(std::string_view of) : key(of) {}
        const std::string key;
        RateMeter meter;
    };
    using Entries = std::list<Entry>;

    const std::size_t capacity_;
    Entries entries_;  // the latest first
    // A tree and no hash table: strangers choose the keys. Views of Entry::key.
    std::map<std::string_view, Entries::iterator> by_key_;
};

}  // namespace postfleet::throttle
