// The keys of one pickup directory.
#pragma once

#include "schema.hpp"

namespace postfleet::config {

const Section& pickup_section();

}  // namespace postfleet::config
