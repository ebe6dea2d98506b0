// report_sinks: the configuration's `reports` as feedback carries events to them.
//
// Opening a sink looks at its files and settings, never at the other side of a connection, which may be away.
// Threads: pure; what it makes belongs to the feedback threads. Metrics and log outlive the sinks.
#pragma once

#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::feedback {

std::vector<reporting::SinkSetup> report_sinks(const config::Config& config, Metrics& metrics, const Log& log);

// What is wrong with a sink's files and settings, before anything is written to it.
Status check_sink(const reporting::SinkSetup& sink);

}  // namespace postfleet::feedback
