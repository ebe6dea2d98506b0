#include "postfleet/mail/address.hpp"

#include <idn2.h>

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "postfleet/base/network.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet {
namespace {

constexpr std::size_t kMaxLocalPart = 64;
constexpr std::size_t kMaxPath = 254;
constexpr std::size_t kMaxLabel = 63;
// What fits into 255 octets of DNS wire form.
constexpr std::size_t kMaxDomain = 253;

Error wrong(std::string_view text, std::string_view why) {
    return {ErrorKind::InvalidArgument, fmt::format("\"{}\": {}", printable(text, 80), why)};
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// atext (RFC 5322 §3.2.3), and what RFC 6531 §3.3 adds; that the octets are UTF-8 is checked apart.
bool is_atext(char c) {
    static constexpr std::string_view kOthers = "!#$%&'*+-/=?^_`{|}~";
    return is_letter(c) || is_digit(c) || static_cast<std::uint8_t>(c) >= 0x80 ||
           kOthers.find(c) != std::string_view::npos;
}

bool is_dot_string(std::string_view text) {
    bool after_dot = true;
    for (const char c : text) {
        if (c == '.' ? after_dot : !is_atext(c)) return false;
        after_dot = c == '.';
    }
    return !after_dot;
}

// Quoted-string of RFC 5321 §4.1.2, with its quotes: printable ASCII (and UTF-8), quote and backslash escaped.
bool is_quoted_string(std::string_view text) {
    if (text.size() < 2 || text.front() != '"' || text.back() != '"') return false;
    text = text.substr(1, text.size() - 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto is_printable = [](char c) { return static_cast<std::uint8_t>(c) >= 0x20 && c != 0x7f; };
        if (!is_printable(text[i]) || text[i] == '"') return false;
        if (text[i] != '\\') continue;
        if (++i == text.size() || !is_printable(text[i])) return false;
    }
    return true;
}

Result<std::string> normalize_literal(std::string_view text) {
    static constexpr std::string_view kV6Tag = "IPv6:";
    if (text.back() != ']') return wrong(text, "an address literal ends with ]");
    std::string_view inside = text.substr(1, text.size() - 2);
    const bool has_tag = ascii_istarts_with(inside, kV6Tag);
    if (has_tag) inside.remove_prefix(kV6Tag.size());
    const Result<IpAddress> address = IpAddress::parse(inside);
    if (!address || has_tag != (inside.find(':') != std::string_view::npos)) {
        return wrong(text, "not an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]");
    }
    return address->to_literal();
}

// Underscores are no host names by RFC 952, but there are domains that take mail and have them.
bool is_label(std::string_view label) {
    if (label.empty() || label.size() > kMaxLabel || label.front() == '-' || label.back() == '-') return false;
    return std::all_of(label.begin(), label.end(),
                       [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; });
}

Result<std::string> normalize_ascii(std::string_view text) {
    std::string_view name = text;
    if (!name.empty() && name.back() == '.') name.remove_suffix(1);
    if (name.empty()) return wrong(text, "a domain name is missing");
    if (name.size() > kMaxDomain) return wrong(text, "the domain name is longer than 253 octets");
    std::size_t start = 0;
    for (;;) {
        const std::size_t dot = name.find('.', start);
        const std::string_view label = name.substr(start, dot == std::string_view::npos ? dot : dot - start);
        if (!is_label(label)) return wrong(text, "not a domain name");
        if (dot == std::string_view::npos) {
            // Such a name would be taken for an IPv4 address by half of the tools that meet it.
            if (std::all_of(label.begin(), label.end(), is_digit)) {
                return wrong(text, "a domain name does not end in a number; addresses go into brackets");
            }
            return to_ascii_lower(name);
        }
        start = dot + 1;
    }
}

struct FreeIdn {
    void operator()(char* text) const { idn2_free(text); }
};

}  // namespace

Result<std::string> normalize_domain(std::string_view text) {
    if (!text.empty() && text.front() == '[') return normalize_literal(text);
    if (is_ascii(text)) return normalize_ascii(text);
    // Four octets of UTF-8 make at least one of an A-label; more than this cannot fit and is not looked at.
    if (text.size() > 4 * kMaxDomain) return wrong(text, "the domain name is too long");
    if (!is_utf8(text) || text.find('\0') != std::string_view::npos) return wrong(text, "the domain is not UTF-8");
    // Without IDN2_USE_STD3_ASCII_RULES: libidn2 2.3.3 then drops a blank or a slash instead of refusing it.
    char* converted = nullptr;
    const std::string terminated(text);
    const int status = idn2_to_ascii_8z(terminated.c_str(), &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    const std::unique_ptr<char, FreeIdn> owner(converted);
    if (status != IDN2_OK) {
        return wrong(text, fmt::format("not an international domain name: {}", idn2_strerror(status)));
    }
    return normalize_ascii(converted);
}

Result<Mailbox> Mailbox::parse(std::string_view text, Utf8 utf8) {
    if (text.size() > 4 * kMaxPath) return wrong(text, "the address is too long");
    if (!is_ascii(text)) {
        if (utf8 == Utf8::Refuse) return wrong(text, "not ASCII, and SMTPUTF8 was not asked for");
        if (!is_utf8(text)) return wrong(text, "the address is not UTF-8");
    }
    const std::size_t at = text.rfind('@');  // the domain has none; a quoted local part may
    if (at == std::string_view::npos) return wrong(text, "no @ in the address");
    const std::string_view local_part = text.substr(0, at);
    if (local_part.empty()) return wrong(text, "nothing before the @");
    if (local_part.size() > kMaxLocalPart) return wrong(text, "the local part is longer than 64 octets");
    if (!is_dot_string(local_part) && !is_quoted_string(local_part)) {
        return wrong(text, "the part before the @ is not valid");
    }
    Result<std::string> domain = normalize_domain(text.substr(at + 1));
    if (!domain) return domain.error();
    if (local_part.size() + 1 + domain->size() > kMaxPath) return wrong(text, "longer than 254 octets");
    return Mailbox{std::string(local_part), *std::move(domain)};
}

std::string_view domain_of(std::string_view path) {
    const std::size_t at = path.rfind('@');
    return at == std::string_view::npos ? std::string_view() : path.substr(at + 1);
}

}  // namespace postfleet
