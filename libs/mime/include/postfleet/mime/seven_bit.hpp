// to_seven_bit: a message rewritten for a server without 8BITMIME (RFC 6152 §3, RFC 2045, RFC 2046).
//
//   multipart/mixed (8bit)              multipart/mixed (7bit)
//   ├ text/plain (8bit, UTF-8)     ─▶   ├ text/plain (quoted-printable, or base64 where that is shorter)
//   ├ message/rfc822 (8bit)             ├ message/rfc822 (7bit), its own parts likewise
//   └ image/png (base64)                └ image/png (base64), as it was
//
// Only leaf parts that need it are encoded; structure, boundaries, other fields and their order stay. Text outside
// the parts of a multipart, which nobody shows, loses its 8-bit octets to "?". A message without MIME fields gets
// them, with charset utf-8 where that is what it is, else unknown-8bit (RFC 1428).
//
// Not possible, with the reason: parts that are signed or encrypted (RFC 1847 §2.1), 8-bit octets in a header, in
// what says it is Base64, in message/partial, in a multipart without its boundary; nesting above kMaxNesting,
// more than kMaxParts parts.
//
// Costs memory for a second copy, at most about three times the first. Threads: a pure function.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

namespace postfleet::mime {

inline constexpr std::size_t kMaxNesting = 50;
inline constexpr std::size_t kMaxParts = 10'000;
inline constexpr std::size_t kMaxLineOctets = 998;  // RFC 5322 §2.1.1

// Content with CRLF line ends.
Result<std::string> to_seven_bit(std::string_view content);

}  // namespace postfleet::mime
