// What must be right around the process before it starts, or before a reload takes effect: each problem is one
// line that says what, where and how to mend it.
#pragma once

#include "postfleet/base/result.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/config/load.hpp"

namespace postfleet::standalone {

// One problem in one line, several as a list under a headline.
Error describe_problems(const std::string& config_path, const std::vector<config::Problem>& problems);

// Makes the data directory if it is missing. PermissionDenied when it cannot be written, InvalidArgument when
// it is full of somebody else's files.
Status prepare_data_directory(const config::Config& config);

std::string spool_directory(const config::Config& config);

}  // namespace postfleet::standalone
