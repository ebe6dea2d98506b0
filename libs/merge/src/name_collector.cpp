#include "postfleet/merge/name_collector.hpp"

#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/merge/insert.hpp"

namespace postfleet::merge {

void NameCollector::take(std::string_view piece) {
    if (!rest_.empty()) {
        // A name is short: what decides about it is in the first octets of the piece, or the piece is short itself.
        rest_.append(piece);
        const std::string text = std::exchange(rest_, {});
        return scan(text);
    }
    scan(piece);
}

void NameCollector::scan(std::string_view text) {
    std::size_t from = 0;
    for (;;) {
        const Insert insert = find_insert(text, from);
        if (insert.begin == std::string_view::npos) break;
        if (!insert.name.empty() && !is_too_much()) {
            uses_.push_back({at_ + insert.begin, to_ascii_lower(insert.name)});
        }
        from = insert.begin + insert.size;
    }
    const std::size_t last = text.rfind('[');
    const bool is_open = last != std::string_view::npos && last >= from && may_be_cut_off(text.substr(last));
    const std::size_t done = is_open ? last : text.size();
    rest_.assign(text.substr(done));
    at_ += done;
}

}  // namespace postfleet::merge
