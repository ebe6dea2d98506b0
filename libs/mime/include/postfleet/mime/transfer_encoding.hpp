// Content transfer encodings, as a sender writes them (RFC 2045 §6.7, §6.8).
//
// append_quoted_printable: of text in lines that end in CRLF; these stay line ends. Lines get at most 76 octets. A
// "." and a "From " at the start of a line are encoded too, because relays change them.
// append_base64_lines: of any octets, in lines of 76.
// Both end without a line end unless the input has one (quoted-printable), or has anything (Base64).
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace postfleet::mime {

void append_quoted_printable(std::string& out, std::string_view text);
void append_base64_lines(std::string& out, std::string_view octets);

}  // namespace postfleet::mime
