// TagList: "name=value; name=value" (RFC 6376 §3.2), as signatures, key records and X-DKIM-Options have it.
//
// White space around names and values goes, folds too; a name that comes twice makes the list invalid.
// Threads: a pure function. The views point into the text.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace postfleet::dkim {

class TagList final {
public:
    static std::optional<TagList> parse(std::string_view text);
    // Null: there is no such tag.
    const std::string_view* find(std::string_view name) const;
    const std::vector<std::pair<std::string_view, std::string_view>>& tags() const { return tags_; }

private:
    std::vector<std::pair<std::string_view, std::string_view>> tags_;
};

}  // namespace postfleet::dkim
