#include "postfleet/dkim/options.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"
#include "postfleet/dkim/tags.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::dkim {

namespace {

Error wrong(std::string_view tag, std::string_view value, const std::string& what) {
    return {ErrorKind::InvalidArgument,
            "X-DKIM-Options: " + std::string(tag) + "=" + printable(value, 255) + " is no " + what};
}

// "@news.example.com" or an address; its domain in normal form. Nothing: it is neither.
std::optional<std::string> normal_identity(std::string_view text) {
    const std::size_t at = text.rfind('@');
    if (at == std::string_view::npos) return std::nullopt;
    const auto domain = normalize_domain(text.substr(at + 1));
    const bool is_plain =
        std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
    if (!domain || !is_plain) return std::nullopt;
    return std::string(text.substr(0, at + 1)) + *domain;
}

}  // namespace

Result<Options> parse_options(std::string_view text) {
    Options options;
    if (trim(text).empty()) return options;
    options.are_given = true;
    const auto list = TagList::parse(text);
    if (!list) return Error{ErrorKind::InvalidArgument, "X-DKIM-Options is no list of name=value"};
    for (const auto& [name, value] : list->tags()) {
        if (name == "s") options.selector = to_ascii_lower(value);
        else if (name == "d") {
            auto domain = normalize_domain(value);
            if (!domain) return wrong(name, value, "domain name");
            options.domain = std::move(*domain);
        } else if (name == "i") {
            auto identity = normal_identity(value);
            if (!identity) return wrong(name, value, "\"@domain\" or address");
            options.identity = std::move(*identity);
        } else if (name == "key-list") options.key_list = value;
        else if (name != "q") {
            return Error{ErrorKind::InvalidArgument, "X-DKIM-Options: unknown tag " + printable(name, 32) + "="};
        }
    }
    return options;
}

}  // namespace postfleet::dkim
