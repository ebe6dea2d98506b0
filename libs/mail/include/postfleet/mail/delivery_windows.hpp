// Delivery windows: the times between which a message may be tried, as PowerMTA's X-Schedule header gives them:
//
//   2026-12-24 08:00 +0100 / 2026-12-24 20:00 +0100, 2026-12-27T08:00:00Z / 2026-12-27T20:00:00Z
//
// Dates and times as in ISO 8601, seconds optional; a zone is Z or +hhmm, and UTC without one.
//
// Threads: pure. Errors: InvalidArgument, with what is wrong in words.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet {

inline constexpr std::size_t kMaxDeliveryWindows = 64;

// In order; windows that overlap or touch are one.
Result<std::vector<DeliveryWindow>> parse_delivery_windows(std::string_view text);
// The first moment from `at` on that lies in a window; nothing: all are over. Without windows: `at`.
std::optional<WallTime> next_in_windows(std::span<const DeliveryWindow> windows, WallTime at);

}  // namespace postfleet
