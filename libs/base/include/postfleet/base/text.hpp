// Small text tools: ASCII case, trimming, sizes, escaping. Locale never matters here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"

namespace postfleet {

char ascii_lower(char c);
std::string to_ascii_lower(std::string_view text);
bool ascii_iequals(std::string_view a, std::string_view b);
bool ascii_istarts_with(std::string_view text, std::string_view prefix);
std::string_view trim(std::string_view text);  // space and tab, CR, LF at both ends
std::vector<std::string_view> split(std::string_view text, char separator);
// "*" stands for any text, also none, and may occur several times; everything else for itself.
bool matches_wildcard(std::string_view pattern, std::string_view text);

bool is_ascii(std::string_view text);
// Length of the well-formed UTF-8 sequence (RFC 3629) that `text` starts with; 0 if there is none.
std::size_t utf8_sequence_length(std::string_view text);
bool is_utf8(std::string_view text);

// At most `limit` octets of `text`, cut at a UTF-8 boundary, as \xNN what is not UTF-8, controls, and what
// turns the direction of writing: safe in a log line and on a terminal.
std::string printable(std::string_view text, std::size_t limit = 512);

// "10MiB", "512KiB", "4096": the sizes of the configuration, in octets. What format_size writes is exact.
Result<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t octets);

}  // namespace postfleet
