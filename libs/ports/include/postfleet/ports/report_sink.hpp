// ReportSink (port): a place that delivery reports go to.
//
// write() takes rendered records (one JSON text each, without a line end) in order; flush() returns ok only
// when everything written before survives a power loss (or is confirmed by the broker). Whatever was not
// flushed may be written again after a crash: at least once.
//
// Threads: confined to the feedback thread that owns it; blocks. Errors: ResourceExhausted (disk full),
// Unavailable; the caller waits and tries again, and counts.
#pragma once

#include <span>
#include <string>

#include "postfleet/base/result.hpp"

namespace postfleet {

class ReportSink {
public:
    virtual ~ReportSink() = default;
    virtual Status write(std::span<const std::string> records) = 0;
    virtual Status flush() = 0;
};

}  // namespace postfleet
