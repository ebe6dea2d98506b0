// LoadCounts: what one loop of a load has done. Merged at the end.
//
// Threads: a value type, confined to its loop while that runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "latency.hpp"
#include "sink_counts.hpp"

namespace postfleet::tools {

struct LoadCounts {
    std::uint64_t accepted = 0;  // messages with a positive final reply
    std::uint64_t accepted_recipients = 0;
    std::uint64_t refused_recipients = 0;  // RCPT answered 4xx or 5xx
    std::uint64_t deferred = 0;            // messages given up after 4xx
    std::uint64_t rejected = 0;            // messages answered 5xx
    std::uint64_t unknown = 0;             // connection lost after the content was sent
    std::uint64_t aborted = 0;             // connection lost before, and no retry left
    std::uint64_t retries = 0;
    std::uint64_t connections = 0;
    std::uint64_t lost_connections = 0;     // refused, reset, timed out, closed by the server
    LatencyHistogram transaction;           // from MAIL (or connect, with one message per connection) to 250
    std::vector<std::uint64_t> deliveries;  // hash_delivery of each accepted recipient
    std::string first_refusal;              // as an example, for the report

    void merge(const LoadCounts& other);
};

struct LoadReport {
    LoadCounts counts;
    double seconds = 0;      // until the last reply
    double cpu_seconds = 0;  // of this process, sink included
    std::string failure;     // why it stopped early
    bool was_interrupted = false;

    // End-to-end mode.
    bool has_sink = false;
    double end_to_end_seconds = 0;  // until the last arrival
    SinkCounts sink;
    DeliveryCheck check;

    bool is_good() const;
};

std::string format_load_report(LoadReport& report, bool as_json);

}  // namespace postfleet::tools
