// MemberTable: who has announced itself to this router lately.
//
// It is in memory only: processes announce themselves to every router again and again, so a router that has just started
// knows them within kAnnounceEvery.
// Threads: thread-safe. Bounded: kMost.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "postfleet/base/time.hpp"
#include "postfleet/rpc/members.hpp"

namespace postfleet::rpc {

inline constexpr Duration kAnnounceEvery = std::chrono::seconds(5);

class MemberTable final {
public:
    static constexpr Duration kSilence = 4 * kAnnounceEvery;  // then it is forgotten
    static constexpr std::size_t kMost = 10'000;

    // False: there are too many already.
    bool heard(Member member, SteadyTime now) {
        const std::lock_guard lock(mutex_);
        forget(now);
        const auto key = std::pair(member.service, member.name);
        if (!members_.contains(key) && members_.size() >= kMost) return false;
        members_[key] = {std::move(member.address), now};
        return true;
    }
    std::vector<Member> list(SteadyTime now) {
        const std::lock_guard lock(mutex_);
        forget(now);
        std::vector<Member> all;
        for (const auto& [key, heard] : members_) all.push_back({key.first, key.second, heard.address});
        return all;
    }

private:
    struct Heard {
        std::string address;
        SteadyTime at{};
    };
    void forget(SteadyTime now) {
        std::erase_if(members_, [&](const auto& one) { return now - one.second.at > kSilence; });
    }

    std::mutex mutex_;
    std::map<std::pair<std::string, std::string>, Heard> members_;  // by service and name
};

}  // namespace postfleet::rpc
