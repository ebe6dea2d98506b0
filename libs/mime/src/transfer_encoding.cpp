#include "postfleet/mime/transfer_encoding.hpp"

#include <algorithm>

#include "postfleet/base/base64.hpp"

namespace postfleet::mime {

namespace {

constexpr std::size_t kMaxLine = 76;
constexpr std::size_t kOctetsPerBase64Line = kMaxLine / 4 * 3;

void append_hex(std::string& out, char c) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    const auto octet = static_cast<unsigned char>(c);
    out.push_back('=');
    out.push_back(kDigits[octet >> 4]);
    out.push_back(kDigits[octet & 15]);
}

bool is_plain(std::string_view line, std::size_t at) {
    const char c = line[at];
    if (c == ' ' || c == '\t') return at + 1 < line.size();
    if (at == 0 && (c == '.' || line.starts_with("From "))) return false;
    return c > ' ' && c < 0x7f && c != '=';
}

// `line` is without its line end.
void append_line(std::string& out, std::string_view line) {
    std::size_t column = 0;
    for (std::size_t at = 0; at < line.size(); ++at) {
        const bool plain = is_plain(line, at);
        const std::size_t width = plain ? 1 : 3;
        // The last column is for the "=" of a soft line break, unless the line ends here.
        const std::size_t room = at + 1 == line.size() ? kMaxLine : kMaxLine - 1;
        if (column + width > room) {
            out += "=\r\n";
            column = 0;
        }
        // A soft break must not make a line that begins with ".", either.
        if (plain && !(column == 0 && line[at] == '.')) {
            out.push_back(line[at]);
            ++column;
        } else {
            append_hex(out, line[at]);
            column += 3;
        }
    }
}

}  // namespace

void append_quoted_printable(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        append_line(out, text.substr(0, end));
        if (end == std::string_view::npos) return;
        out += "\r\n";
        text.remove_prefix(end + 2);
    }
}

void append_base64_lines(std::string& out, std::string_view octets) {
    for (; !octets.empty(); octets.remove_prefix(std::min(kOctetsPerBase64Line, octets.size()))) {
        out += base64_encode(octets.substr(0, kOctetsPerBase64Line));
        out += "\r\n";
    }
}

}  // namespace postfleet::mime
