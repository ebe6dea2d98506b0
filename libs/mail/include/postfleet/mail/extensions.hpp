// Extensions: which SMTP service extensions a server offered, as bits (RFC 5321 §2.2, IANA's registry).
//
// Only the known keywords have a bit; the bits are stored with events, so they never change their meaning.
// Threads: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace postfleet {

using Extensions = std::uint32_t;

// Of an EHLO keyword, in any case; 0: not a known one.
Extensions extension_bit(std::string_view keyword);
// "PIPELINING,SIZE,8BITMIME"
std::string extension_names(Extensions extensions);

}  // namespace postfleet
