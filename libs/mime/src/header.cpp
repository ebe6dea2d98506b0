#include "postfleet/mime/header.hpp"

#include <algorithm>
#include <cstring>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::mime {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// The index behind the line that starts at `at`.
std::size_t line_end(std::string_view text, std::size_t at) {
    const auto end = text.find('\n', at);
    return end == std::string_view::npos ? text.size() : end + 1;
}

// Printable ASCII without colon (RFC 5322 §3.6.8).
bool is_field_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

std::optional<Field> HeaderReader::next() {
    if (closed_ || at_ >= message_.size()) return std::nullopt;
    if (message_.substr(at_, 2) == "\r\n") {
        closed_ = true;
        return std::nullopt;
    }
    std::size_t end = line_end(message_, at_);
    const std::string_view line = message_.substr(at_, end - at_);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view name = line.substr(0, colon);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    if (!is_field_name(name)) return std::nullopt;

    while (end < message_.size() && is_blank(message_[end])) end = line_end(message_, end);
    const std::size_t value_at = at_ + colon + 1;
    std::string_view value = message_.substr(value_at, end - value_at);
    if (value.ends_with("\r\n")) value.remove_suffix(2);
    const Field field{name, value, {at_, end}};
    at_ = end;
    return field;
}

bool is_folded(std::string_view value) { return value.find('\n') != std::string_view::npos; }

std::string unfold(std::string_view value, std::size_t limit) {
    value = trim(value);
    if (!is_folded(value)) return std::string(value.substr(0, limit));
    std::string line;
    line.reserve(std::min(value.size(), limit));
    for (const char c : value) {
        if (line.size() == limit) break;
        if (c != '\r' && c != '\n') line.push_back(c);
    }
    return line;
}

void remove_spans(std::string& message, std::span<const Span> spans) {
    if (spans.empty()) return;
    std::size_t to = spans.front().begin;
    for (std::size_t i = 0; i < spans.size(); ++i) {
        const std::size_t from = spans[i].end;
        const std::size_t until = i + 1 < spans.size() ? spans[i + 1].begin : message.size();
        require(to <= from && from <= until);
        std::memmove(message.data() + to, message.data() + from, until - from);
        to += until - from;
    }
    message.resize(to);
}

}  // namespace postfleet::mime
