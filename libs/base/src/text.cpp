#include "postfleet/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "hex.hpp"
#include "match_stars.hpp"

namespace postfleet {
namespace {

struct SizeUnit {
    std::string_view name;
    unsigned shift;
};
constexpr std::array kSizeUnits{SizeUnit{"TiB", 40}, SizeUnit{"GiB", 30}, SizeUnit{"MiB", 20}, SizeUnit{"KiB", 10}};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool is_continuation(char c) { return (static_cast<std::uint8_t>(c) & 0xc0u) == 0x80u; }

// U+200E, U+200F, U+2028 … U+202E, U+2066 … U+2069: they turn the direction of what follows, or break the line.
bool is_layout_control(std::string_view sequence) {
    if (!sequence.starts_with("\xe2\x80") && !sequence.starts_with("\xe2\x81")) return false;
    const auto last = static_cast<std::uint8_t>(sequence[2]);
    if (sequence[1] == '\x81') return last >= 0xa6 && last <= 0xa9;
    return last == 0x8e || last == 0x8f || (last >= 0xa8 && last <= 0xae);
}

// C0, DEL and C1 (U+0080 … U+009F), which some terminals obey, and what makes a line look like another one.
bool is_control(std::string_view sequence) {
    const auto first = static_cast<std::uint8_t>(sequence[0]);
    if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
    if (sequence.size() == 2 && first == 0xc2) return static_cast<std::uint8_t>(sequence[1]) < 0xa0;
    return sequence == "\xd8\x9c" || is_layout_control(sequence);  // U+061C turns the direction, too
}

void append_escaped(std::string& out, std::string_view octets) {
    for (const char c : octets) {
        const auto octet = static_cast<std::uint8_t>(c);
        out += {'\\', 'x', hex::kDigits[octet >> 4], hex::kDigits[octet & 15]};
    }
}

}  // namespace

char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

std::string to_ascii_lower(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) c = ascii_lower(c);
    return lower;
}

bool ascii_iequals(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
               return x == y || ascii_lower(x) == ascii_lower(y);
           });
}

bool ascii_istarts_with(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && ascii_iequals(text.substr(0, prefix.size()), prefix);
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

bool matches_wildcard(std::string_view pattern, std::string_view text) {
    return match_stars(pattern, text, [](char p, char t) { return p == t; });
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<std::uint8_t>(c) < 0x80; });
}

// The table of well-formed sequences of RFC 3629 §4: no surrogates, no overlong forms, nothing above U+10FFFF.
std::size_t utf8_sequence_length(std::string_view text) {
    if (text.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(text[0]);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
    const auto second = static_cast<std::uint8_t>(text[1]);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f)) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (!is_continuation(text[i])) return 0;
    }
    return length;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = utf8_sequence_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view text, std::size_t limit) {
    if (text.size() > limit) {
        std::size_t cut = limit;
        // Not into the middle of a sequence; but octets that are no UTF-8 at all may be cut anywhere.
        while (cut > 0 && limit - cut < 3 && is_continuation(text[cut])) --cut;
        if (is_continuation(text[cut])) cut = limit;
        text = text.substr(0, cut);
    }
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_sequence_length(text);
        const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
        if (length == 0 || is_control(sequence)) append_escaped(out, sequence);
        else out += sequence;
        text.remove_prefix(sequence.size());
    }
    return out;
}

Result<std::uint64_t> parse_size(std::string_view text) {
    const auto wrong = [&](const char* why) {
        return Error{ErrorKind::InvalidArgument,
                     fmt::format("\"{}\" is not a size: {}; write octets, or KiB, MiB, GiB, TiB as in 10MiB",
                                 printable(text, 40), why)};
    };
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc::result_out_of_range) return wrong("too large");
    if (error != std::errc()) return wrong("it does not start with a number");
    const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
    if (unit.empty()) return number;
    for (const SizeUnit& known : kSizeUnits) {
        if (unit != known.name) continue;
        if (number > UINT64_MAX >> known.shift) return wrong("too large");
        return number << known.shift;
    }
    return wrong("unknown unit");
}

std::string format_size(std::uint64_t octets) {
    for (const SizeUnit& unit : kSizeUnits) {
        const std::uint64_t whole = octets >> unit.shift;
        if (whole != 0 && whole << unit.shift == octets) return fmt::format("{}{}", whole, unit.name);
    }
    return fmt::format_int(octets).str();
}

}  // namespace postfleet
