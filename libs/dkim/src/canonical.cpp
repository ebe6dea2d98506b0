#include "postfleet/dkim/canonical.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::dkim {

namespace {

constexpr std::size_t kFlushAt = 16 * 1024;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// How many octets stay as they are: words with one space between them, which is most of most mail.
std::size_t regular_octets(std::string_view part) {
    std::size_t at = 0;
    for (; at < part.size(); ++at) {
        if (part[at] == '\t') break;
        if (part[at] == ' ' && (at + 1 == part.size() || is_blank(part[at + 1]))) break;
    }
    return at;
}

void append_relaxed_value(std::string& out, std::string_view value) {
    bool holds_space = false, has_text = false;
    for (const char c : value) {
        if (c == '\r' || c == '\n') continue;
        if (is_blank(c)) {
            holds_space = has_text;
            continue;
        }
        if (holds_space) out.push_back(' ');
        out.push_back(c);
        holds_space = false;
        has_text = true;
    }
}

}  // namespace

void append_canonical_field(std::string& out, std::string_view field, Canonicalization form) {
    if (form == Canonicalization::Simple) {
        out += field;
        return;
    }
    const std::size_t colon = std::min(field.find(':'), field.size());
    std::string_view name = field.substr(0, colon);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    for (const char c : name) out.push_back(ascii_lower(c));
    out.push_back(':');
    append_relaxed_value(out, field.substr(std::min(colon + 1, field.size())));
    if (field.ends_with("\r\n")) out += "\r\n";
}

void BodyCanonicalizer::add(std::string_view octets) {
    if (octets.empty()) return;
    out_.reserve(std::min(octets.size(), kFlushAt) + 2);
    if (holds_cr_) {
        holds_cr_ = false;
        if (octets.front() == '\n') {
            on_line_end();
            octets.remove_prefix(1);
        } else {
            add_line_part("\r");
        }
    }
    while (!octets.empty()) {
        const std::size_t cr = octets.find('\r');
        if (cr == std::string_view::npos) return add_line_part(octets);
        if (cr + 1 == octets.size()) {
            add_line_part(octets.substr(0, cr));
            holds_cr_ = true;
            return;
        }
        const bool ends_line = octets[cr + 1] == '\n';
        add_line_part(octets.substr(0, ends_line ? cr : cr + 1));
        if (ends_line) on_line_end();
        octets.remove_prefix(ends_line ? cr + 2 : cr + 1);
    }
}

void BodyCanonicalizer::add_line_part(std::string_view part) {
    if (part.empty()) return;
    if (form_ == Canonicalization::Simple) return append(part);
    while (!part.empty()) {
        const std::size_t text =
            static_cast<std::size_t>(std::find_if_not(part.begin(), part.end(), is_blank) - part.begin());
        holds_space_ |= text > 0;
        if (text == part.size()) return;
        part.remove_prefix(text);
        const std::size_t regular = regular_octets(part);
        append(part.substr(0, regular));
        part.remove_prefix(regular);
    }
}

void BodyCanonicalizer::on_line_end() {
    holds_space_ = false;
    ++line_ends_;
}

void BodyCanonicalizer::append(std::string_view octets) {
    for (; line_ends_ > 0; --line_ends_) {
        out_ += "\r\n";
        if (out_.size() >= kFlushAt) flush();
    }
    if (holds_space_) out_.push_back(' ');
    holds_space_ = false;
    has_text_ = true;
    out_ += octets;
    if (out_.size() >= kFlushAt) flush();
}

void BodyCanonicalizer::finish() {
    if (holds_cr_) {
        holds_cr_ = false;
        add_line_part("\r");
    }
    if (has_text_ || form_ == Canonicalization::Simple) out_ += "\r\n";
    flush();
}

void BodyCanonicalizer::flush() {
    if (!out_.empty()) sink_(out_);
    out_.clear();
}

}  // namespace postfleet::dkim
