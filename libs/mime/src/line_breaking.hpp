// Line breaks that do not change what is said: in header fields, and in bodies whose encoding allows for them.
#pragma once

#include <string>
#include <string_view>

namespace postfleet::mime {

// Lines that are short already stay as they are.
void append_broken_base64(std::string& out, std::string_view body);
void append_broken_quoted_printable(std::string& out, std::string_view body);
// Without the long lines: for what nobody shows.
void append_short_lines_of(std::string& out, std::string_view text);

}  // namespace postfleet::mime
