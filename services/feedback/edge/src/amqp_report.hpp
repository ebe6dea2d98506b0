// amqp_report: a `type: amqp` of the configuration as a sink.
#pragma once

#include <functional>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::feedback {

reporting::SinkSetup amqp_report(const config::Report& report, Metrics& metrics, const Log& log,
                                 std::function<void(EventId, const std::string& why)> refused);

}  // namespace postfleet::feedback
