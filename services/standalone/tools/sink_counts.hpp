// SinkCounts: what a sink has seen. One per loop, merged when somebody asks.
//
// A message counts when its positive reply was handed to the socket. Threads: a value type; the sink guards it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "latency.hpp"
#include "postfleet/base/network.hpp"

namespace postfleet::tools {

struct SinkCounts {
    std::uint64_t connections = 0;
    std::uint64_t refused_connections = 0;  // more than max_connections, or by a rule at connect
    std::uint64_t messages = 0;
    std::uint64_t recipients = 0;           // of these messages
    std::uint64_t octets = 0;               // of these messages, as received
    std::uint64_t rejected_recipients = 0;  // RCPT answered 4xx or 5xx
    std::uint64_t rejected_messages = 0;    // final dot answered 4xx or 5xx
    std::uint64_t unanswered_messages = 0;  // final dot answered by a fault
    std::uint64_t broken_transactions = 0;  // connection lost between MAIL and the final reply
    std::uint64_t violations = 0;           // commands sent ahead without PIPELINING
    std::uint64_t without_id = 0;           // messages without the id header
    std::uint64_t over_connections = 0;     // beyond the provider's limits: connections,
    std::uint64_t over_messages = 0;        // messages on one connection,
    std::uint64_t over_rate = 0;            // and messages in its window

    std::map<std::string, std::uint64_t, std::less<>> recipients_by_domain;
    std::map<IpAddress, std::uint64_t> messages_by_source;
    std::vector<std::uint64_t> messages_by_second;  // since the sink started
    std::vector<std::uint64_t> deliveries;          // hashes of id and recipient, with --id-header
    LatencyHistogram latency;                       // from X-Load-Sent to acceptance, with --id-header

    void merge(const SinkCounts& other);
};

// What identifies one delivery: the message's id header and the recipient.
std::uint64_t hash_delivery(std::string_view id, std::string_view recipient);

struct DeliveryCheck {
    std::uint64_t expected = 0, unique = 0, lost = 0, duplicated = 0, unexpected = 0;
};
// Compares what arrived with what should have. Sorts both.
DeliveryCheck check_deliveries(std::vector<std::uint64_t>& expected, std::vector<std::uint64_t>& arrived);

}  // namespace postfleet::tools
