// Time as this system uses it: wall time for what is stored or shown, steady time for waiting.
//
// Wall time is stored with microseconds. Nothing that decides when to wake up uses wall time alone, so a
// clock jump moves due times but never stalls a timer. Domain code takes both as arguments.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

namespace postfleet {

using Duration = std::chrono::nanoseconds;
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

WallTime wall_clock_now();
SteadyTime steady_clock_with_suspend();  // goes on while the machine sleeps; not to be compared with the other one
SteadyTime steady_clock_now();

std::int64_t to_unix_microseconds(WallTime time);
WallTime from_unix_microseconds(std::int64_t microseconds);

// "2026-11-22T10:11:12.345678Z" (RFC 3339), always UTC.
std::string format_rfc3339(WallTime time);
// "Sun, 22 Nov 2026 10:11:12 +0000" (RFC 5322 §3.3), always UTC.
std::string format_rfc5322_date(WallTime time);

// "1h30m", "250ms", "4d12h": the units of the configuration, largest first; exact (us and ns if need be).
std::string format_duration(Duration duration);
// Takes what format_duration writes, unless negative: a number with a unit (ms s m h d), several in a row
// from large to small. "0" needs none.
Result<Duration> parse_duration(std::string_view text);

}  // namespace postfleet
