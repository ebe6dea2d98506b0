// Whether the source addresses that this process sends from are this machine's.
#pragma once

#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::sender {

// Every source address of every virtual MTA of `sender` (empty: of all) can be bound on this machine now. Sending from
// another address instead is never an option, so this is an error and not a warning: one line for each.
Status check_source_addresses(const config::Config& config, std::string_view sender = {});

}  // namespace postfleet::sender
