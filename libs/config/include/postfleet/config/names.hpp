// is_name: may this be the name of a virtual MTA, a pool, a sender, a listener …? Threads: a pure function.
#pragma once

#include <string_view>

namespace postfleet::config {

bool is_name(std::string_view text);

}  // namespace postfleet::config
