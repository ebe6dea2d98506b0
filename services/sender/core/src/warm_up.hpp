// WarmUp: how many recipients a queue of a new virtual MTA may still be sent to today.
//
// A day counts when it has mail: the first entry of the list is for the first such day, and the last one repeats. Days
// are UTC's.
//
//   used ≤ kept ≤ limit      kept: what a durable note says; only so many are granted
//
// So a process that dies, however it does, leaves behind that at least as many went as did go, and a day's limit holds over
// restarts. The note runs ahead by a block, 1/50 of the limit, so that few are written and nobody waits for them; what was
// kept and not used is lost to the day when the process ends.
//
// Threads: externally locked (the queue's mutex). Time comes in as an argument.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/time.hpp"

namespace postfleet::sender {

class WarmUp final {
public:
    using Limits = std::span<const std::uint32_t>;  // recipients a day; empty: no limit

    // Of the day's limit.
    std::uint32_t left(Limits limits, WallTime now) const;
    // Nothing can be granted before the note that is on its way is durable.
    bool is_waiting(WallTime now) const { return is_writing_ && granted(now) == 0; }
    struct Grant {
        std::uint32_t recipients = 0;  // no more than wanted
        std::string note;              // to be kept, then on_kept(); empty: nothing
    };
    Grant take(Limits limits, std::uint32_t wanted, WallTime now);
    enum class Kept : std::uint8_t { Yes, No };
    void on_kept(Kept kept);
    void restore(std::string_view note);
    // "day 3: 120 of 500"; empty before the first day.
    std::string describe(Limits limits, WallTime now) const;
    std::uint32_t day() const { return day_; }

    static WallTime next_day(WallTime now);

private:
    static std::int64_t date_of(WallTime now);
    static std::uint32_t limit(Limits limits, std::uint32_t day);
    std::uint32_t granted(WallTime now) const { return date_of(now) > date_ ? 0 : kept_ - used_; }

    std::uint32_t day_ = 0;   // that had mail, from 1; 0: none yet
    std::int64_t date_ = -1;  // days since 1970
    std::uint32_t used_ = 0, kept_ = 0;
    bool is_writing_ = false;
    std::int64_t writing_date_ = -1;
    std::uint32_t writing_ = 0;
};

}  // namespace postfleet::sender
