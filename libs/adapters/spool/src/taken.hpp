// Which ids were taken (SpoolBatch::taken_as): each is kept under the day on which it came. Thread-safe, as the index.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "index.hpp"
#include "records.hpp"

namespace postfleet::spool {

inline std::uint32_t day_of(WallTime time) {
    const auto days = std::chrono::floor<std::chrono::days>(time).time_since_epoch().count();
    return static_cast<std::uint32_t>(std::max<std::int64_t>(days, 0));
}

// On that day, or at most so many days before.
inline Result<bool> was_taken(Index& index, const MessageId& id, std::uint32_t day, std::uint32_t days_before) {
    for (std::uint32_t back = 0; back <= std::min(days_before, day); ++back) {
        const auto found = index.get(Column::Taken, key_of_taken(day - back, id));
        if (!found) return found.error();
        if (*found) return true;
    }
    return false;
}

}  // namespace postfleet::spool
