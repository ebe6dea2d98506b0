#include "postfleet/dkim/tags.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::dkim {

std::optional<TagList> TagList::parse(std::string_view text) {
    TagList list;
    for (const std::string_view piece : split(text, ';')) {
        const std::string_view tag = trim(piece);
        if (tag.empty()) continue;  // behind the last ";"
        const std::size_t equals = tag.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        const std::string_view name = trim(tag.substr(0, equals));
        const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
            const char lower = ascii_lower(c);
            return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        });
        if (!is_name || list.find(name) != nullptr) return std::nullopt;
        list.tags_.emplace_back(name, trim(tag.substr(equals + 1)));
    }
    return list;
}

const std::string_view* TagList::find(std::string_view name) const {
    for (const auto& tag : tags_) {
        if (tag.first == name) return &tag.second;
    }
    return nullptr;
}

}  // namespace postfleet::dkim
