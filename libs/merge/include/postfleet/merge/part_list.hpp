// parse_part_list: which parts of a merged message a recipient gets, and in which order: "1-3,5", "1,3,2".
//
// Threads: a pure function. At most kMaxMergeParts numbers, from 1 to kMaxMergePartNumber. Nothing: it is no such list.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace postfleet::merge {

std::optional<std::vector<std::uint32_t>> parse_part_list(std::string_view text);

// One number of the list, or the argument of XPRT.
std::optional<std::uint32_t> parse_part_number(std::string_view text);

}  // namespace postfleet::merge
