// VerdictMemory: pairs of stored form and password that were right lately, as HMACs under a key of this process.
//
// Bounded; the oldest goes first. A pair is not kept longer because it is used: every so often it is hashed again.
// Threads: thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/stored_password.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::password {

class VerdictMemory final {
public:
    VerdictMemory(const Digests& digests, std::string key, std::size_t capacity, Duration keep_for)
        : digests_(digests), key_(std::move(key)), capacity_(capacity), keep_for_(keep_for) {}

    Sha256Digest name_of(const StoredPassword& stored, std::string_view password) const;
    bool knows(const Sha256Digest& pair, SteadyTime now);
    void remember(const Sha256Digest& pair, SteadyTime now);
    std::size_t size() const;

private:
    void forget_old(SteadyTime now);

    const Digests& digests_;
    const std::string key_;
    const std::size_t capacity_;
    const Duration keep_for_;
    mutable std::mutex mutex_;
    std::set<Sha256Digest> pairs_;
    std::deque<std::pair<SteadyTime, Sha256Digest>> by_age_;  // the time is when it goes
};

}  // namespace postfleet::password
