// Sections that stand in files of their own. Built once, immutable, thread-safe.
#pragma once

#include "schema.hpp"

namespace postfleet::config {

const Section& reply_pattern_section();    // reply_patterns[]
const Section& bounce_category_section();  // bounce_categories[]

}  // namespace postfleet::config
