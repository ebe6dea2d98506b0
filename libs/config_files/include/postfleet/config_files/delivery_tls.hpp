// The TLS rules that shaping rules ask for, and whether their files can be used.
//
// Threads: thread-safe; check_delivery_tls blocks on files.
#pragma once

#include <vector>

#include "postfleet/config/load.hpp"
#include "postfleet/ports/tls_client.hpp"

namespace postfleet::config_files {

// Those of a queue without rules first, then each rule's by itself. Rules that are put together from several make
// further ones.
std::vector<TlsRules> delivery_tls_rules(const config::Config& config);

void check_delivery_tls(const config::Config& config, std::vector<config::Problem>& problems);

}  // namespace postfleet::config_files
