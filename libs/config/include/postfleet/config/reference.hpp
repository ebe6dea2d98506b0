// The reference page of the configuration (docs/CONFIGURATION.md) and its JSON Schema for editors
// (docs/postfleet.schema.json, JSON Schema 2020-12), both made from the table that reads it. Threads: pure.
#pragma once

#include <string>

namespace postfleet::config {

std::string reference_page();  // Markdown
std::string json_schema();

}  // namespace postfleet::config
