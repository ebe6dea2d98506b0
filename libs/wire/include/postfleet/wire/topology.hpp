// Topology: the names of what Postfleet's services share on a RabbitMQ broker (DESIGN section 9). Nobody else writes
// them out.
//
// Threads: constants and pure functions.
#pragma once

#include <string>
#include <string_view>

namespace postfleet::wire {

inline constexpr std::string_view kSubmitExchange = "postfleet.submit", kSubmitQueue = "postfleet.submit";
inline constexpr std::string_view kRejectedExchange = "postfleet.rejected", kRejectedQueue = "postfleet.rejected";
inline constexpr std::string_view kDeliverExchange = "postfleet.deliver";
inline constexpr std::string_view kEventsExchange = "postfleet.events";
inline constexpr std::string_view kReportsExchange = "postfleet.reports", kReportsQueue = "postfleet.reports";

// The queue of a sender's mail, and its routing key at kDeliverExchange.
inline std::string deliver_queue(std::string_view sender) { return "postfleet.deliver." + std::string(sender); }
inline std::string deliver_high_queue(std::string_view sender) { return deliver_queue(sender) + ".high"; }
// Mail of queues that have outgrown their quota in the sender's spool.
inline std::string overflow_queue(std::string_view sender) { return "postfleet.overflow." + std::string(sender); }
// The events that one report sink has still to take.
inline std::string sink_queue(std::string_view sink) { return "postfleet.sink." + std::string(sink); }

}  // namespace postfleet::wire
