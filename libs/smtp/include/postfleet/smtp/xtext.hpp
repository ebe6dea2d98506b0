// xtext: how ENVID and ORCPT carry what a command may not (RFC 3461 §4).
//
//   user+2Bnews@example.org    is    user+news@example.org
//
// Each "+" and two upper-case hexadecimal digits are one octet; every other octet is itself. Only printable ASCII and
// spaces may come out of it (RFC 3461 §4.2, §4.4): a line end in there would end a command or a header field of ours.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postfleet::smtp {

// Nothing if the text is no xtext, or means something that is not printable.
std::optional<std::string> decode_xtext(std::string_view text);
// Appends `text` as xtext. It must be printable.
void append_xtext(std::string& out, std::string_view text);
// Spaces and printable ASCII only.
bool is_printable_ascii(std::string_view text);

// utf-8-addr-xtext or utf-8-addr-unitext (RFC 6533 §3): printable ASCII without "\", "+" and "=", \x{HEX} for any other
// character, and UTF-8 as it stands where `may_have_utf8`.
bool is_utf8_address(std::string_view text, bool may_have_utf8);

}  // namespace postfleet::smtp
