#include "postfleet/smtp/path.hpp"

#include <algorithm>
#include <optional>

#include "postfleet/base/text.hpp"

namespace postfleet::smtp {
namespace {

constexpr std::size_t kPathLimit = 256;  // with the brackets

// The index of the ">" that ends the path, which one inside quotes does not.
std::optional<std::size_t> closing_bracket(std::string_view text) {
    bool quoted = false;
    for (std::size_t i = 1; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '\\') ++i;
        else if (c == '"') quoted = !quoted;
        else if (c == '>' && !quoted) return i;
    }
    return std::nullopt;
}

// "@a.example,@b.example:" at the front goes; false if it starts like a route and is none.
bool drop_source_route(std::string_view& inside) {
    if (inside.empty() || inside.front() != '@') return true;
    const auto colon = inside.find(':');
    if (colon == std::string_view::npos) return false;
    for (const auto hop : split(inside.substr(0, colon), ',')) {
        if (hop.size() < 2 || hop.front() != '@') return false;
        if (!normalize_domain(hop.substr(1))) return false;
    }
    inside.remove_prefix(colon + 1);
    return true;
}

}  // namespace

std::variant<Path, PathError> parse_path(std::string_view& text, Mailbox::Utf8 utf8) {
    if (text.empty() || text.front() != '<') return PathError::Syntax;
    const auto end = closing_bracket(text);
    if (!end) return PathError::Syntax;
    std::string_view inside = text.substr(1, *end - 1);
    const std::string_view rest = text.substr(*end + 1);
    if (!rest.empty() && rest.front() != ' ' && rest.front() != '\t') return PathError::Syntax;

    Path path;
    if (!inside.empty()) {
        if (utf8 == Mailbox::Utf8::Refuse &&
            std::any_of(inside.begin(), inside.end(), [](char c) { return (c & 0x80) != 0; })) {
            return PathError::NotAscii;
        }
        if (!drop_source_route(inside)) return PathError::Syntax;
        if (inside.size() + 2 > kPathLimit) return PathError::TooLong;
        if (ascii_iequals(inside, "postmaster")) {
            path.kind = PathKind::Postmaster;
            path.mailbox.local_part = inside;
        } else {
            auto mailbox = Mailbox::parse(inside, utf8);
            if (!mailbox) return PathError::Syntax;
            path.kind = PathKind::Mailbox;
            path.mailbox = std::move(*mailbox);
        }
    }
    text = rest;
    return path;
}

}  // namespace postfleet::smtp
