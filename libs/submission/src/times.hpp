// Times as applications write them: "2026-12-24T08:00:00+01:00" (RFC 3339), "2026-12-24 08:00:00" (UTC, as MailerQ has
// it), or seconds since 1970.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "postfleet/base/time.hpp"

namespace postfleet::submission {

inline constexpr const char* kTimeAdvice =
    "is not a time; write it as \"2026-12-24T08:00:00Z\", or as seconds since 1970";

std::optional<WallTime> parse_time(std::string_view text);
std::optional<WallTime> time_of_seconds(std::int64_t seconds);

}  // namespace postfleet::submission
