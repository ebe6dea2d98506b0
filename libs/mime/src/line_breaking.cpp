#include "line_breaking.hpp"

#include <algorithm>

#include "postfleet/mime/short_lines.hpp"

namespace postfleet::mime {

namespace {

constexpr std::size_t kEncodedLine = 76;  // RFC 2045 §6.7, §6.8

// Calls `append` for each line, which comes with its line end if it has one, and without it in `line`.
template <class Append>
void for_each_line(std::string_view text, Append append) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\r\n"), text.size());
        const std::size_t next = std::min(end + 2, text.size());
        append(text.substr(0, end), text.substr(0, next));
        text.remove_prefix(next);
    }
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// The last white space to fold at, with something to show before it and behind it; npos: there is none.
std::size_t fold_of(std::string_view line) {
    const std::size_t last_shown = line.find_last_not_of(" \t");
    const std::size_t first_shown = line.find_first_not_of(" \t");
    if (last_shown == std::string_view::npos) return last_shown;
    for (std::size_t at = std::min(kMaxLineOctets, last_shown); at > first_shown; --at) {
        if (is_blank(line[at])) return at;
    }
    return std::string_view::npos;
}

bool append_folded_line(std::string& out, std::string_view line) {
    while (line.size() > kMaxLineOctets) {
        const std::size_t at = fold_of(line);
        if (at == std::string_view::npos) return false;
        out.append(line.substr(0, at)).append("\r\n");
        line.remove_prefix(at);
    }
    out += line;
    return true;
}

// Where a line of quoted-printable text may end in "=", at `most` at the latest: not inside of "=3D".
std::size_t soft_break_of(std::string_view line, std::size_t most) {
    if (line[most - 1] == '=') return most - 1;
    return line[most - 2] == '=' ? most - 2 : most;
}

void append_with_soft_breaks(std::string& out, std::string_view line) {
    std::size_t room = kEncodedLine;
    while (line.size() > room) {
        const std::size_t at = soft_break_of(line, room - 1);
        out.append(line.substr(0, at)).append("=\r\n");
        line.remove_prefix(at);
        room = kEncodedLine;
        // A line must not begin with a dot because of us: relays have got that wrong.
        if (line.front() == '.') {
            out += "=2E";
            line.remove_prefix(1);
            room -= 3;
        }
    }
    out += line;
}

}  // namespace

bool has_long_line(std::string_view text) {
    while (text.size() > kMaxLineOctets) {
        const std::size_t end = text.find("\r\n");
        if (std::min(end, text.size()) > kMaxLineOctets) return true;
        if (end == std::string_view::npos) return false;
        text.remove_prefix(end + 2);
    }
    return false;
}

bool append_folded(std::string& out, std::string_view header) {
    const std::size_t before = out.size();
    bool folded = true;
    for_each_line(header, [&](std::string_view line, std::string_view with_end) {
        folded = folded && append_folded_line(out, line);
        out += with_end.substr(line.size());
    });
    if (!folded) out.resize(before);
    return folded;
}

void append_broken_base64(std::string& out, std::string_view body) {
    for_each_line(body, [&](std::string_view line, std::string_view with_end) {
        const std::string_view line_end = with_end.substr(line.size());
        const std::size_t room = line.size() > kMaxLineOctets ? kEncodedLine : kMaxLineOctets;
        for (; line.size() > room; line.remove_prefix(room)) out.append(line.substr(0, room)).append("\r\n");
        out.append(line).append(line_end);
    });
}

void append_broken_quoted_printable(std::string& out, std::string_view body) {
    for_each_line(body, [&](std::string_view line, std::string_view with_end) {
        if (line.size() > kMaxLineOctets) append_with_soft_breaks(out, line);
        else out += line;
        out += with_end.substr(line.size());
    });
}

void append_short_lines_of(std::string& out, std::string_view text) {
    for_each_line(text, [&](std::string_view line, std::string_view with_end) {
        // Not a part of it: what remained of "--boundary    x" could be a boundary.
        if (line.size() <= kMaxLineOctets) out += line;
        out += with_end.substr(line.size());
    });
}

}  // namespace postfleet::mime
