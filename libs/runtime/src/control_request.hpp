// parse_control_request: a line of the control socket (protocol: README.md). Pure. Errors: InvalidArgument.
#pragma once

#include <string_view>

#include "postfleet/runtime/control.hpp"

namespace postfleet::runtime {

Result<ControlRequest> parse_control_request(std::string_view line);

}  // namespace postfleet::runtime
