// render: the effective configuration as YAML, every value with the place it comes from or "default".
//
// What comes out can be loaded again and is the same configuration. Values that come from the environment
// are shown as their reference, so secrets never are. Threads: pure.
#pragma once

#include <string>

#include "postfleet/config/config.hpp"

namespace postfleet::config {

std::string render(const Config& config);

}  // namespace postfleet::config
