// file_sink: a file of the configuration's `reports` as feedback carries events to it.
#pragma once

#include "postfleet/base/log.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/feedback/feedback.hpp"

namespace postfleet::standalone {

feedback::SinkSetup file_sink(const config::FileReport& report, const Log& log);

}  // namespace postfleet::standalone
