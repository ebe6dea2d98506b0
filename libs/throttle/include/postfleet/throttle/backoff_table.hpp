// BackoffTable: failures by key, and the delay that they have earned. Bounded; README.md says how to use it.
//
//   failures     1 … free_failures   then        one more           …
//   delay        none                first       first × 2          longest
//
// A key without a failure for forget_after is as if it had never been; a key in its delay is not forgotten by time.
// Threads: externally locked. Time must not run backwards. Units: octets, std::chrono.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::throttle {

struct BackoffRules {
    std::uint32_t free_failures = 3;
    Duration first_delay = std::chrono::seconds(1);
    Duration longest_delay = std::chrono::minutes(5);
    Duration forget_after = std::chrono::hours(1);
    std::size_t capacity = 50'000;  // keys, some 200 octets each; 0: nobody ever waits
};

class BackoffTable final {
public:
    static constexpr std::size_t kMaxKeyOctets = 512;  // what is longer is cut

    explicit BackoffTable(const BackoffRules& rules) : rules_(rules) {}
    BackoffTable(const BackoffTable&) = delete;
    BackoffTable& operator=(const BackoffTable&) = delete;

    // How long until the key may try again; zero: now.
    Duration wait(std::string_view key, SteadyTime now) const;
    // Counts a failure; returns the delay that follows it.
    Duration fail(std::string_view key, SteadyTime now);
    void succeed(std::string_view key);

    std::uint32_t failures(std::string_view key, SteadyTime now) const;
    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        std::string key;
        std::uint32_t failures = 0;
        SteadyTime last_failure;
        SteadyTime may_try_at;
    };
    using Entries = std::list<Entry>;

    const Entry* find(std::string_view key, SteadyTime now) const;
    bool is_forgotten(const Entry& entry, SteadyTime now) const;
    Duration delay_after(std::uint32_t failures) const;
    void forget(Entries::iterator entry);

    const BackoffRules rules_;
    Entries entries_;  // the latest failure first
    // A tree and no hash table: keys are chosen by attackers. Views of Entry::key.
    std::map<std::string_view, Entries::iterator> by_key_;
};

// "192.0.2.0/24", "2001:db8::/64": who shares an address block shares the blame.
std::string network_key(const IpAddress& address);
// The account as seen from that network; names differ in nothing but their octets.
std::string account_key(std::string_view user, const IpAddress& address);

}  // namespace postfleet::throttle
