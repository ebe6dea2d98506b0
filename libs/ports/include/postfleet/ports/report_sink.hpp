// ReportSink (port): a place that delivery reports go to.
//
// write() takes records in order: what an event looks like there (JSON or a row, without a line end), and the event,
// for sinks that address or label what they send. flush() returns ok only when everything written before survives a
// power loss (or is confirmed by the broker). Whatever was not flushed may be written again after a crash or a
// failure: at least once.
//
// Both may block, for seconds where the other side is away. finish_by(t) tells that the process stops: what blocks
// then, or later, gives up at t.
//
// Threads: confined to the feedback thread that owns it; finish_by() is thread-safe. Errors: ResourceExhausted (disk
// or queue full), Unavailable, DeadlineExceeded; the caller waits and tries again, and counts. An event that the other
// side would never take is no error: the sink tells of it, and passes over it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/mail/event.hpp"

namespace postfleet {

struct ReportRecord {
    std::string text;
    std::shared_ptr<const Event> event;  // never null
    std::uint64_t number = 0;            // in the outbox
};

class ReportSink {
public:
    virtual ~ReportSink() = default;
    virtual Status write(std::span<const ReportRecord> records) = 0;
    virtual Status flush() = 0;
    virtual void finish_by(SteadyTime) {}  // for those that never block for long
};

}  // namespace postfleet
