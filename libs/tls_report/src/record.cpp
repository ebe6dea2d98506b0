#include "postfleet/tls_report/record.hpp"

#include <algorithm>
#include <optional>

#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::tls_report {

namespace {

// "%40" → "@" (RFC 3986 §2.1). Nothing: it is malformed, or hides a control character.
std::optional<std::string> without_percent(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const auto high = kDigits.find(ascii_lower(text[i + 1])), low = kDigits.find(ascii_lower(text[i + 2]));
            if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (c <= ' ' || c >= 0x7f) return std::nullopt;
        out.push_back(c);
    }
    return out;
}

std::optional<Destination> mail_of(std::string_view uri) {
    const auto address = without_percent(uri.substr(0, uri.find('?')));
    if (!address) return std::nullopt;
    const auto mailbox = Mailbox::parse(*address);
    if (!mailbox) return std::nullopt;
    return Destination{.kind = Destination::Kind::Mail, .address = mailbox->to_string()};
}

// Port 443 alone: a record must not have us try the ports of others.
std::optional<Destination> https_of(std::string_view uri) {
    const auto slash = uri.find('/');
    const auto host = normalize_domain(uri.substr(0, slash));
    std::string target(slash == std::string_view::npos ? "/" : uri.substr(slash));
    target.resize(std::min(target.size(), target.find('#')));
    const bool is_visible = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (!host || !is_visible) return std::nullopt;
    return Destination{.kind = Destination::Kind::Https, .host = *host, .target = std::move(target)};
}

std::vector<Destination> destinations_of(std::string_view uris) {
    std::vector<Destination> found;
    for (const std::string_view item : split(uris, ',')) {
        const std::string_view uri = trim(item);
        std::optional<Destination> one;
        if (ascii_istarts_with(uri, "mailto:")) one = mail_of(uri.substr(7));
        if (ascii_istarts_with(uri, "https://")) one = https_of(uri.substr(8));
        if (one && found.size() < kMaxDestinations) found.push_back(std::move(*one));
    }
    return found;
}

}  // namespace

std::vector<Destination> parse_record(const std::vector<std::string>& records) {
    constexpr std::string_view kVersion = "v=TLSRPTv1";
    std::optional<std::string_view> only;
    for (const std::string& record : records) {
        if (!record.starts_with(kVersion)) continue;
        const std::string_view rest = trim(std::string_view(record).substr(kVersion.size()));
        if (!rest.starts_with(';')) continue;
        if (only) return {};  // which of them?
        only = rest.substr(1);
    }
    if (!only) return {};
    for (const std::string_view field : split(*only, ';')) {
        const std::string_view text = trim(field);
        if (text.starts_with("rua=")) return destinations_of(text.substr(4));
    }
    return {};
}

}  // namespace postfleet::tls_report
