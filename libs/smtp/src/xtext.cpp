#include "postfleet/smtp/xtext.hpp"

#include <algorithm>
#include <charconv>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::smtp {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEF";

bool is_printable(char c) { return c >= ' ' && c < 0x7f; }
bool is_plain(char c) { return c > ' ' && c < 0x7f && c != '+' && c != '='; }

// The length of "\x{HEX}" at the front of `text`, 0 if there is none. Only what cannot stand for itself is written so:
// the space and control octets are left out, like surrogates and what is no code point.
std::size_t embedded_character(std::string_view text) {
    constexpr std::string_view kOpening = "\\x{";
    constexpr std::size_t kMaxDigits = 6;
    if (!text.starts_with(kOpening)) return 0;
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos || end == kOpening.size() || end - kOpening.size() > kMaxDigits) return 0;
    const std::string_view hex = text.substr(kOpening.size(), end - kOpening.size());
    if (!std::all_of(hex.begin(), hex.end(), [](char c) { return kDigits.find(c) != std::string_view::npos; })) return 0;
    std::uint32_t point = 0;
    std::from_chars(hex.data(), hex.data() + hex.size(), point, 16);
    const bool is_stand_in = point == '\\' || point == '+' || point == '=';
    const bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
    return is_stand_in || (point >= 0xA0 && !is_surrogate && point <= 0x10FFFF) ? end + 1 : 0;
}

}  // namespace

bool is_printable_ascii(std::string_view text) { return std::all_of(text.begin(), text.end(), is_printable); }

std::optional<std::string> decode_xtext(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '+') {
            if (!is_plain(text[i])) return std::nullopt;
            out.push_back(text[i]);
            continue;
        }
        if (text.size() - i < 3) return std::nullopt;
        const std::size_t high = kDigits.find(text[i + 1]), low = kDigits.find(text[i + 2]);
        if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
        const char c = static_cast<char>(high << 4 | low);
        if (!is_printable(c)) return std::nullopt;
        out.push_back(c);
        i += 2;
    }
    return out;
}

void append_xtext(std::string& out, std::string_view text) {
    for (const char c : text) {
        require(is_printable(c));
        if (is_plain(c)) {
            out.push_back(c);
            continue;
        }
        const auto octet = static_cast<unsigned char>(c);
        out.append({'+', kDigits[octet >> 4], kDigits[octet & 15]});
    }
}

bool is_utf8_address(std::string_view text, bool may_have_utf8) {
    if (text.empty()) return false;
    while (!text.empty()) {
        std::size_t length = 0;
        if (text.front() == '\\') length = embedded_character(text);
        else if (is_plain(text.front())) length = 1;
        else if (may_have_utf8 && (text.front() & 0x80) != 0) length = utf8_sequence_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

}  // namespace postfleet::smtp
