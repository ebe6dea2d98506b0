// file_sink: a file of the configuration's `reports` as feedback carries events to it.
#pragma once

#include "postfleet/base/log.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::feedback {

reporting::SinkSetup file_sink(const config::Report& report, const Log& log);

}  // namespace postfleet::feedback
