// search_reports: the events of one message that the JSON report files still have.
//
// Reads the file that is being written and the rotated ones beside it or in `move_to`, the newest first, back to the
// time from which events are asked for. Stops after kMostOctets, and at `until`. What another program has renamed,
// compressed or taken away is not found.
//
// Threads: any that may block on the disk.
#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/id.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::control {

struct ReportSearch {
    static constexpr std::uint64_t kMostOctets = 4ull << 30;

    MessageId message;
    WallTime since{};    // nothing is asked for that was reported before
    SteadyTime until{};  // when to give up
    std::uint64_t most_octets = kMostOctets;
};

struct ReportFindings {
    std::vector<boost::json::value> events;  // CloudEvents, in no order
    std::vector<std::string> files;          // that were read, the newest first
    std::vector<std::string> troubles;       // for people: what was not read, and why
    bool reaches_back = false;               // some report is kept from `since` on
    std::optional<WallTime> begin;           // of what was read
};

void search_reports(const config::Report& report, const ReportSearch& search, ReportFindings& found);

}  // namespace postfleet::control
