// effective_tree: a configuration as texts, from the same tables that read it. Threads: pure.
#pragma once

#include <string>
#include <vector>

#include "schema.hpp"

namespace postfleet::config {

inline std::vector<Shown> effective_tree(const Config& config) { return show_section(root_section(), "", &config); }

// The value's text as it may be shown: what came from the environment as its reference.
std::string visible_text(const Config& config, const Shown& shown);
// Where it was set; null: it was not.
const Origin* origin_of(const Config& config, const Shown& shown);
// All that was set in it, on one line: "{source: 192.0.2.10, ehlo: a.example}".
std::string inline_text(const Config& config, const Shown& shown);

}  // namespace postfleet::config
