// tell_refusals: logs and counts the events that a sink passes over, because the other side would never take them.
#pragma once

#include <functional>
#include <string>

#include "postfleet/base/id.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"

namespace postfleet::feedback {

std::function<void(EventId, const std::string& why)> tell_refusals(const std::string& sink, Metrics& metrics, Log log);

}  // namespace postfleet::feedback
