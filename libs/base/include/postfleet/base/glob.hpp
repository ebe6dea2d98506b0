// Globs: "*" stands for any text, also none, "?" for any one octet. Patterns with "*" alone: matches_wildcard (text.hpp).
// Threads: functions of their arguments, never more than |pattern| × |text| steps. Errors: none.
#pragma once

#include <string_view>

namespace postfleet {

bool matches_glob(std::string_view pattern, std::string_view text);
bool matches_glob_ignoring_case(std::string_view pattern, std::string_view text);  // ASCII

}  // namespace postfleet
