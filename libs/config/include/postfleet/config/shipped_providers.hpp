// shipped_providers: the large mailbox providers and filtering services, by the names of their MX hosts, as known from
// public DNS. Part of the program; `shipped_providers: false` leaves them out, and a provider of the same name in
// the configuration takes the place of one. Threads: pure; made once.
#pragma once

#include <map>
#include <string>

#include "postfleet/config/config.hpp"

namespace postfleet::config {

const std::map<std::string, Provider>& shipped_providers();

}  // namespace postfleet::config
