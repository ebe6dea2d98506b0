// to_short_lines: a message rewritten so that no line of it is longer than RFC 5322 §2.1.1 allows.
//
//   To: a@b.example, … 1,500 octets             folded at white space, which unfolds to the same
//   multipart/mixed
//   ├ text/html (7bit or 8bit, one long line) ─▶ quoted-printable, or base64 where that is shorter
//   ├ application/json (7bit, one long line)  ─▶ base64
//   ├ image/png (base64 in one line)          ─▶ base64 in lines of 76
//   └ text/plain (quoted-printable)           ─▶ soft line breaks where there were none
//
// What the message says stays: only parts and fields with long lines are touched, and read back the same. Text outside
// the parts of a multipart, which nobody shows, loses its long lines. A signature over what is rewritten breaks.
//
// Not possible, with the reason: a header field without white space to fold at, long lines in signed or encrypted parts
// (RFC 1847 §2.1), in an encoding that is not known, in message/partial and the like, in a multipart without its
// boundary or in the boundary itself; nesting above kMaxNesting, more than kMaxParts parts.
//
// Costs memory for a second copy, at most about three times the first. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/mime/seven_bit.hpp"

namespace postfleet::mime {

// Content with CRLF line ends.
Result<std::string> to_short_lines(std::string_view content);

// Content with CRLF line ends; a last line without one counts.
bool has_long_line(std::string_view text);

// Appends header fields with their long lines folded; false: one of them cannot be, and nothing is appended.
bool append_folded(std::string& out, std::string_view header);

}  // namespace postfleet::mime
