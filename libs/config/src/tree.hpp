// effective_tree: a configuration as texts, from the same tables that read it. Threads: pure.
#pragma once

#include <vector>

#include "schema.hpp"

namespace postfleet::config {

inline std::vector<Shown> effective_tree(const Config& config) { return show_section(root_section(), "", &config); }

}  // namespace postfleet::config
