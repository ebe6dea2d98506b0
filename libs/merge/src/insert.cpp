#include "postfleet/merge/insert.hpp"

#include "postfleet/mail/merge.hpp"

namespace postfleet::merge {
Insert find_insert(std::string_view text, std::size_t from) {
    for (std::size_t at = text.find('[', from); at != std::string_view::npos; at = text.find('[', at + 1)) {
        const std::string_view behind = text.substr(at + 1);
        if (behind.starts_with('[')) return {at, 2, {}};
        const std::size_t length = merge_name_length(behind);
        if (length > 0 && behind.substr(length).starts_with(']')) {
            return {at, length + 2, behind.substr(0, length)};
        }
    }
    return {};
}

bool may_be_cut_off(std::string_view text) {
    const std::string_view behind = text.substr(1);
    return behind.empty() || behind == "*" ||
           (behind.size() <= kMaxMergeName && merge_name_length(behind) == behind.size());
}

}  // namespace postfleet::merge
