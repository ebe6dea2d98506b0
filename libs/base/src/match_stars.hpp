// The one loop behind wildcards and globs.
#pragma once

#include <cstddef>
#include <string_view>

namespace postfleet {

// `fits(p, t)`: whether this octet of the pattern, which is no star, stands for that one of the text. After a mismatch only
// the last star is tried again, one octet further.
template <class Fits>
bool match_stars(std::string_view pattern, std::string_view text, Fits&& fits) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && fits(pattern[p], text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace postfleet
