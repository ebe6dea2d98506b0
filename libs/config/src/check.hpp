// check_references: what only the whole configuration can tell: names that must exist, things that exclude
// one another. Reports through the reader. Threads: confined to one load_config() call.
#pragma once

#include "postfleet/config/config.hpp"
#include "reader.hpp"

namespace postfleet::config {

void check_references(Reader& reader, const Config& config);

}  // namespace postfleet::config
