// crc32c: the Castagnoli checksum (RFC 3720 §12.1) that guards everything the spool stores.
//
// Uses the processor's instruction where there is one (x86-64 with SSE 4.2: about 20 octets a nanosecond),
// and a table elsewhere. crc32c(a + b) == crc32c(b, crc32c(a)). Threads: pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace postfleet::spool {

std::uint32_t crc32c(std::string_view octets, std::uint32_t before = 0);
// The same without the instruction; for tests, and where it is missing.
std::uint32_t crc32c_portable(std::string_view octets, std::uint32_t before = 0);

}  // namespace postfleet::spool
