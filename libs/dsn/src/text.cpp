#include "text.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "postfleet/base/text.hpp"

namespace postfleet::dsn {

namespace {

// What a line may have at most is 998 (RFC 5322 §2.1.1); a word is cut long before.
constexpr std::size_t kLongestWord = 900;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// How many octets of `text` are the next word with the spaces before it.
std::size_t word_length(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return text.size();
    return std::min(text.find(' ', begin), text.size());
}

// `limit` octets at most, and whole characters.
std::size_t cut(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text.size();
    while (limit > 1 && (text[limit] & 0xc0) == 0x80) --limit;
    return limit;
}

unsigned code_point(std::string_view sequence) {
    if (sequence.size() == 1) return static_cast<unsigned char>(sequence[0]);
    unsigned point = static_cast<unsigned char>(sequence[0]) & (0x7fu >> sequence.size());
    for (const char c : sequence.substr(1)) point = point << 6 | (static_cast<unsigned char>(c) & 0x3fu);
    return point;
}

template <class IsPlain>
std::string with_escapes(std::string_view text, IsPlain&& is_plain) {
    std::string out;
    while (!text.empty()) {
        const std::size_t length = utf8_sequence_length(text);
        const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
        if (length == 0) out.push_back('?');
        else if (is_plain(sequence)) out.append(sequence);
        else fmt::format_to(std::back_inserter(out), "\\x{{{:02X}}}", code_point(sequence));
        text.remove_prefix(sequence.size());
    }
    return out;
}

}  // namespace

std::string clean(std::string_view text, Charset charset) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = std::max<std::size_t>(utf8_sequence_length(text), 1);
        const bool is_plain =
            length == 1 ? static_cast<unsigned char>(text[0]) < 0x80 && !is_control(text[0]) : charset == Charset::Utf8;
        if (is_plain) out.append(text.substr(0, length));
        else out.push_back('?');
        text.remove_prefix(length);
    }
    return out;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
    value = trim(value);
    if (value.empty()) return;
    out.append(name).append(":");
    std::size_t column = name.size() + 1;
    std::string first = " ";
    first.append(value.substr(0, word_length(value)));
    bool is_first = true;
    while (!value.empty()) {
        std::string_view word = is_first ? std::string_view(first) : value.substr(0, word_length(value));
        value.remove_prefix(is_first ? word.size() - 1 : word.size());
        if (!is_first && column + word.size() > kTextWidth) {
            out.append("\r\n");
            column = 0;
        }
        is_first = false;
        for (std::size_t n = cut(word, kLongestWord); n < word.size(); n = cut(word, kLongestWord)) {
            out.append(word.substr(0, n)).append("\r\n ");
            word.remove_prefix(n);
            column = 1;
        }
        out.append(word);
        column += word.size();
    }
    out.append("\r\n");
}

void append_paragraph(std::string& out, std::string_view indent, std::string_view text) {
    const std::size_t width = kTextWidth - indent.size();
    std::size_t column = 0;
    for (text = trim(text); !text.empty();) {
        std::string_view word = text.substr(0, word_length(text));
        text.remove_prefix(word.size());
        if (column > 0 && column + word.size() > width) {
            out.append("\r\n");
            column = 0;
        }
        if (column == 0) {
            word.remove_prefix(std::min(word.find_first_not_of(' '), word.size()));
            out.append(indent);
        }
        for (std::size_t n = cut(word, width); n < word.size(); n = cut(word, width)) {
            out.append(word.substr(0, n)).append("\r\n").append(indent);
            word.remove_prefix(n);
        }
        out.append(word);
        column += word.size();
    }
    if (column > 0) out.append("\r\n");
}

std::string utf8_address(std::string_view address, Charset charset) {
    return with_escapes(address, [charset](std::string_view sequence) {
        if (sequence.size() > 1) return charset == Charset::Utf8;
        const char c = sequence[0];
        return c > ' ' && c < 0x7f && c != '\\' && c != '+' && c != '=';
    });
}

std::string original_recipient(std::string_view original, Charset charset) {
    if (charset == Charset::Utf8 || is_ascii(original)) return clean(original, charset);
    return clean(with_escapes(original, [](std::string_view sequence) { return sequence.size() == 1; }), charset);
}

}  // namespace postfleet::dsn
