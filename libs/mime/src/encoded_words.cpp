#include "postfleet/mime/encoded_words.hpp"

#include <algorithm>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::mime {
namespace {

constexpr std::size_t kLine = 78;         // RFC 5322 §2.1.1, what it recommends
constexpr std::size_t kEncodedWord = 75;  // RFC 2047 §2
constexpr std::string_view kBegin = "=?UTF-8?", kEnd = "?=";
constexpr std::size_t kFrame = kBegin.size() + 2 + kEnd.size();  // with "Q?"

// Appends to a field, and begins a new line where the next word would be too far out.
class Folder {
public:
    explicit Folder(std::string& out) : out_(out), line_(out.rfind('\n') + 1) {}

    std::size_t column() const { return out_.size() - line_; }
    void word(std::string_view word) {
        if (is_first_) {
            is_first_ = false;
        } else if (column() + 1 + word.size() > kLine) {
            new_line();
        } else {
            out_.push_back(' ');
        }
        out_.append(word);
    }
    // In front of a word that must fit: how much of the line is left for it.
    std::size_t room(std::size_t wanted) {
        if (!is_first_ && column() + 1 + wanted > kLine) return kLine - 1;
        return kLine - std::min(kLine, column() + (is_first_ ? 0 : 1));
    }

private:
    void new_line() {
        out_.append("\r\n");
        line_ = out_.size();
        out_.push_back(' ');
    }
    std::string& out_;
    std::size_t line_;
    bool is_first_ = true;
};

bool is_q_plain(char c) {  // RFC 2047 §5 (3): also inside a phrase
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '!' || c == '*' ||
           c == '+' || c == '-' || c == '/';
}

std::size_t q_size(std::string_view text) {
    std::size_t size = 0;
    for (const char c : text) size += is_q_plain(c) || c == ' ' ? 1 : 3;
    return size;
}

void append_q(std::string& out, std::string_view text) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (c == ' ') out.push_back('_');
        else if (is_q_plain(c)) out.push_back(c);
        else out.append({'=', kDigits[octet >> 4], kDigits[octet & 15]});
    }
}

std::size_t encoded_size(std::string_view text, bool in_base64) {
    return kFrame + (in_base64 ? (text.size() + 2) / 3 * 4 : q_size(text));
}

// As many characters as fit; one at least.
std::string_view take_fitting(std::string_view text, std::size_t room, bool in_base64) {
    std::size_t taken = 0;
    while (taken < text.size()) {
        const std::size_t next = taken + std::max<std::size_t>(utf8_sequence_length(text.substr(taken)), 1);
        if (taken > 0 && encoded_size(text.substr(0, next), in_base64) > room) break;
        taken = next;
    }
    return text.substr(0, taken);
}

// White space between encoded words is not shown (RFC 2047 §6.2), so the spaces of the text are inside them.
void encode(Folder& folder, std::string_view text) {
    // Readable for people, unless that is much longer.
    const bool in_base64 = encoded_size(text, true) * 4 < encoded_size(text, false) * 3;
    constexpr std::size_t kShortest = kFrame + 12;
    while (!text.empty()) {
        const std::string_view part = take_fitting(text, std::min(kEncodedWord, folder.room(kShortest)), in_base64);
        std::string word(kBegin);
        word.append(in_base64 ? "B?" : "Q?");
        if (in_base64) word.append(base64_encode(part));
        else append_q(word, part);
        word.append(kEnd);
        folder.word(word);
        text.remove_prefix(part.size());
    }
}

bool needs_encoding(std::string_view text) {
    // Two spaces, or one at an end, would not survive folding; "=?" would be read as what we write ourselves.
    return !is_ascii(text) || text.find("=?") != std::string_view::npos || text.find("  ") != std::string_view::npos ||
           text.starts_with(' ') || text.ends_with(' ');
}

void append_words(Folder& folder, std::string_view text) {
    for (const std::string_view word : split(text, ' ')) folder.word(word);
}

// In runs of words with and without variables.
void append_mergeable(Folder& folder, std::string_view text) {
    std::size_t from = 0, at = 0;
    const auto flush = [&](std::size_t end) {
        const std::string_view run = text.substr(from, end - from);
        if (run.empty()) return;
        if (is_ascii(run)) append_words(folder, run);
        else encode(folder, run);
    };
    while (at < text.size()) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        const std::string_view word = text.substr(at, end - at);
        if (word.find('[') != std::string_view::npos) {
            flush(at > from ? at - 1 : at);
            folder.word(word);
            from = std::min(end + 1, text.size());
        }
        at = std::min(end + 1, text.size());
        if (end == text.size()) break;
    }
    flush(text.size());
}

bool is_atom_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c > ' ' && c < 0x7f && std::string_view("()<>[]:;@\\,.\"").find(c) == std::string_view::npos) ||
               c == ' ';
    });
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
    }
    return out + "\"";
}

void append_name(Folder& folder, std::string_view name, TextForm form) {
    const bool has_variable = form == TextForm::Mergeable && name.find('[') != std::string_view::npos;
    if (has_variable) folder.word(quoted(name));
    else if (needs_encoding(name)) encode(folder, name);
    else if (is_atom_text(name)) append_words(folder, name);
    else folder.word(quoted(name));
}

bool is_attribute_char(char c) {  // RFC 2231 §7
    return c > ' ' && c < 0x7f && std::string_view("*'%()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
}

}  // namespace

bool is_header_text(std::string_view text) {
    return is_utf8(text) && std::none_of(text.begin(), text.end(),
                                         [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
}

void append_text_field(std::string& out, std::string_view name, std::string_view text, TextForm form) {
    out.append(name).append(": ");
    Folder folder(out);
    if (form == TextForm::Mergeable && text.find('[') != std::string_view::npos) append_mergeable(folder, text);
    else if (needs_encoding(text)) encode(folder, text);
    else append_words(folder, text);
    out.append("\r\n");
}

void append_address_field(std::string& out, std::string_view name, const std::vector<NamedAddress>& addresses,
                          TextForm form) {
    out.append(name).append(": ");
    Folder folder(out);
    for (const NamedAddress& each : addresses) {
        std::string address = each.name.empty() ? each.address : "<" + each.address + ">";
        if (&each != &addresses.back()) address.push_back(',');
        if (!each.name.empty()) append_name(folder, each.name, form);
        folder.word(address);
    }
    out.append("\r\n");
}

void append_parameter(std::string& out, std::string_view name, std::string_view value) {
    constexpr std::size_t kPiece = 60;
    const bool is_plain = is_ascii(value) && value.size() <= kPiece;
    if (is_plain) {
        out.append(";\r\n ").append(name).append("=").append(quoted(value));
        return;
    }
    // One piece: name*=UTF-8''…; several: name*0*=UTF-8''…, name*1*=…
    std::vector<std::string> pieces(1);
    for (const char c : value) {
        std::string piece;
        if (is_attribute_char(c)) {
            piece.push_back(c);
        } else {
            constexpr char kDigits[] = "0123456789ABCDEF";
            const auto octet = static_cast<unsigned char>(c);
            piece = {'%', kDigits[octet >> 4], kDigits[octet & 15]};
        }
        if (pieces.back().size() + piece.size() > kPiece) pieces.emplace_back();
        pieces.back().append(piece);
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        out.append(";\r\n ").append(name).append("*");
        if (pieces.size() > 1) out.append(std::to_string(i)).append("*");
        out.append(i == 0 ? "=UTF-8''" : "=").append(pieces[i]);
    }
}

}  // namespace postfleet::mime
