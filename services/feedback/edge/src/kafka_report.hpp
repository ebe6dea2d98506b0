// kafka_report: a `type: kafka` of the configuration as a sink.
#pragma once

#include <functional>

#include "postfleet/config/config.hpp"
#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::feedback {

reporting::SinkSetup kafka_report(const config::Report& report,
                                  std::function<void(EventId, const std::string& why)> refused);

}  // namespace postfleet::feedback
