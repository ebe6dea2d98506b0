// OverflowSweep: when the overflow queue is gone through, and when that is over.
//
//   Resting ── a queue that overflowed is down to half its quota, or nobody knows what is in there ──▶ Sweeping
//      │       (also when it should be empty: now and then, because an operator may have returned mail there)
//      ▲                                                                                                  │
//      └── a message comes round again; nothing came for kIdle; every known queue is full again ──────────┘
//
// Every message that is put back at the end of the queue carries the mark of the sweep: it is over when one comes round.
// A queue is known by the domain and the virtual MTA of some of its mail: its site may change.
//
// Threads: confined. Pure but for the time, which is given.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "postfleet/base/time.hpp"

namespace postfleet::sender {

class OverflowSweep {
public:
    static constexpr Duration kRest = std::chrono::seconds(5);        // between two
    static constexpr Duration kBlindRest = std::chrono::minutes(1);   // when there are too many queues to know them all
    static constexpr Duration kLookAgain = std::chrono::minutes(10);  // when it should be empty
    static constexpr Duration kIdle = std::chrono::seconds(5);
    static constexpr std::size_t kMostKnown = 10'000;

    // `mark`: different in every process.
    explicit OverflowSweep(std::string mark) : mark_(std::move(mark)) {}

    // Mail for there is in the overflow queue, or goes there.
    void remember(std::string_view domain, std::string_view virtual_mta) {
        add(known_, domain, virtual_mta);
        if (sweeping_) add(seen_, domain, virtual_mta);
    }
    using HasRoom = std::function<bool(std::string_view domain, std::string_view virtual_mta)>;
    bool should_begin(SteadyTime now, const HasRoom& is_half_empty) const {
        if (sweeping_ || now < rest_until_) return false;
        return !knows_all_ || any_is(is_half_empty) || (known_.empty() && now >= look_again_at_);
    }
    void begin(SteadyTime now) {
        sweeping_ = true;
        if (known_.empty()) knows_all_ = false;  // there may be something, or nobody would look
        ++number_;
        last_came_ = now;
        seen_.clear();
    }
    bool is_sweeping() const { return sweeping_; }
    std::string mark() const { return mark_ + "-" + std::to_string(number_); }
    // A message came out of the queue, with the mark that it carries. True: the way round is done.
    bool came(std::string_view with_mark, SteadyTime now) {
        last_came_ = now;
        return with_mark == mark();
    }
    // Nothing can come now: the time does not count.
    void wait(SteadyTime now) { last_came_ = now; }
    bool is_idle(SteadyTime now) const { return sweeping_ && now - last_came_ >= kIdle; }
    // Nothing that is in there may come in.
    bool is_in_vain(const HasRoom& has_room) const { return knows_all_ && !any_is(has_room); }

    enum class Ended { AllSeen, Early };
    void end(SteadyTime now, Ended how) {
        sweeping_ = false;
        if (how == Ended::AllSeen) {
            known_ = std::move(seen_);
            knows_all_ = known_.size() < kMostKnown;
        }
        seen_.clear();
        rest_until_ = now + (knows_all_ ? kRest : kBlindRest);
        look_again_at_ = now + kLookAgain;
    }

private:
    using Places = std::set<std::pair<std::string, std::string>>;

    void add(Places& to, std::string_view domain, std::string_view virtual_mta) {
        if (to.size() < kMostKnown) to.emplace(domain, virtual_mta);
        else knows_all_ = false;
    }
    bool any_is(const HasRoom& has_room) const {
        for (const auto& [domain, virtual_mta] : known_) {
            if (has_room(domain, virtual_mta)) return true;
        }
        return false;
    }

    const std::string mark_;
    Places known_, seen_;
    bool sweeping_ = false, knows_all_ = false;
    std::uint64_t number_ = 0;
    SteadyTime last_came_{}, rest_until_{}, look_again_at_{};
};

}  // namespace postfleet::sender
