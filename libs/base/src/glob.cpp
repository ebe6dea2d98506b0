#include "postfleet/base/glob.hpp"

#include "match_stars.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet {

bool matches_glob(std::string_view pattern, std::string_view text) {
    return match_stars(pattern, text, [](char p, char t) { return p == '?' || p == t; });
}

bool matches_glob_ignoring_case(std::string_view pattern, std::string_view text) {
    return match_stars(pattern, text, [](char p, char t) { return p == '?' || ascii_lower(p) == ascii_lower(t); });
}

}  // namespace postfleet
