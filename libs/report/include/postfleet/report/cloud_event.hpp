// render_cloud_event: one Event as CloudEvents 1.0 JSON, as DESIGN section 9 and docs/schemas/email-event.json
// define it.
//
// Appends one JSON object, without a line end. Members whose value is not known are left out. Durations are
// milliseconds, sizes octets, times RFC 3339 in UTC. Threads: pure. Errors: none; whatever the texts hold, the
// output is valid JSON.
#pragma once

#include <cstdint>
#include <string>

#include "postfleet/mail/event.hpp"

namespace postfleet::report {

// Where events come from: the same for everything that one sender reports.
struct Source {
    std::string uri;  // CloudEvents "source": "/senders/mta1.example.net"
};

inline constexpr const char* kCloudEventsVersion = "1.0";

// `sequence` is the event's number in the outbox (EventLog).
void render_cloud_event(const Event& event, std::uint64_t sequence, const Source& source, std::string& out);

}  // namespace postfleet::report
