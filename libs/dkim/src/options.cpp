#include "postfleet/dkim/options.hpp"

#include "postfleet/base/text.hpp"
#include "postfleet/dkim/tags.hpp"

namespace postfleet::dkim {

Result<Options> parse_options(std::string_view text) {
    Options options;
    if (trim(text).empty()) return options;
    options.are_given = true;
    const auto list = TagList::parse(text);
    if (!list) return Error{ErrorKind::InvalidArgument, "X-DKIM-Options is no list of name=value"};
    for (const auto& [name, value] : list->tags()) {
        if (name == "s") options.selector = to_ascii_lower(value);
        else if (name == "d") options.domain = to_ascii_lower(value);
        else if (name == "i") options.identity = value;
        else if (name == "key-list") options.key_list = value;
        else if (name != "q") {
            return Error{ErrorKind::InvalidArgument, "X-DKIM-Options: unknown tag " + printable(name, 32) + "="};
        }
    }
    return options;
}

}  // namespace postfleet::dkim
