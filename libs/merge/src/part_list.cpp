#include "postfleet/merge/part_list.hpp"

#include <charconv>

#include "postfleet/base/text.hpp"
#include "postfleet/mail/merge.hpp"

namespace postfleet::merge {

std::optional<std::uint32_t> parse_part_number(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (number == 0 || number > kMaxMergePartNumber) return std::nullopt;
    return number;
}

std::optional<std::vector<std::uint32_t>> parse_part_list(std::string_view text) {
    std::vector<std::uint32_t> parts;
    for (const std::string_view item : split(text, ',')) {
        const std::string_view range = trim(item);
        const std::size_t dash = range.find('-');
        const auto first = parse_part_number(range.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_part_number(range.substr(dash + 1));
        if (!first || !last || *last < *first) return std::nullopt;
        if (parts.size() + (*last - *first) >= kMaxMergeParts) return std::nullopt;
        for (std::uint32_t number = *first; number <= *last; ++number) parts.push_back(number);
    }
    return parts;
}

}  // namespace postfleet::merge
