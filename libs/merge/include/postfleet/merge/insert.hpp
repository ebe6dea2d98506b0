// find_insert: where a text has something to be replaced, as PowerMTA's mail merge writes it.
//
//   [name]   a variable: a letter, then letters, digits, "_"; "[*name]" is a reserved one
//   [[       one bracket
//
// Any other "[" is text, and so is every "]". Threads: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace postfleet::merge {

struct Insert {
    std::size_t begin = std::string_view::npos;  // npos: there is none
    std::size_t size = 0;
    std::string_view name;  // as written, with its "*"; empty: a bracket
};

// The first one at or behind `from`.
Insert find_insert(std::string_view text, std::size_t from);

// Whether what `text`, which begins with a bracket, means depends on octets that are still to come.
bool may_be_cut_off(std::string_view text);

}  // namespace postfleet::merge
