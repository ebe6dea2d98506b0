#include "postfleet/smtp/capabilities.hpp"

#include <charconv>

#include "postfleet/base/text.hpp"

namespace postfleet::smtp {

namespace {

std::string_view take_word(std::string_view& text) {
    text = trim(text);
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    return word;
}

// Only whole positive numbers set a limit; anything else, too large ones included, is no limit.
template <class Number>
void set_limit(std::string_view digits, Number& limit) {
    Number value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc{} && end == digits.data() + digits.size() && value > 0) limit = value;
}

void parse_limits(std::string_view rest, Capabilities& out) {
    for (std::string_view item = take_word(rest); !item.empty(); item = take_word(rest)) {
        const std::size_t equals = item.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string_view name = item.substr(0, equals), value = item.substr(equals + 1);
        if (ascii_iequals(name, "RCPTMAX")) set_limit(value, out.max_recipients);
        if (ascii_iequals(name, "MAILMAX")) set_limit(value, out.max_transactions);
        if (ascii_iequals(name, "RCPTDOMAINMAX")) set_limit(value, out.max_domains);
    }
}

void parse_mechanisms(std::string_view rest, Capabilities& out) {
    for (std::string_view name = take_word(rest); !name.empty(); name = take_word(rest)) {
        out.auth_plain |= ascii_iequals(name, "PLAIN");
        out.auth_login |= ascii_iequals(name, "LOGIN");
    }
}

}  // namespace

Capabilities parse_capabilities(std::string_view lines) {
    Capabilities out;
    bool limits_seen = false;
    std::size_t end = lines.find('\n');
    while (end != std::string_view::npos) {
        lines.remove_prefix(end + 1);
        end = lines.find('\n');
        std::string_view rest = lines.substr(0, end);
        const std::string_view keyword = take_word(rest);
        out.offered |= extension_bit(keyword);
        if (ascii_iequals(keyword, "PIPELINING")) {
            out.pipelining = true;
        } else if (ascii_iequals(keyword, "8BITMIME")) {
            out.eight_bit_mime = true;
        } else if (ascii_iequals(keyword, "SMTPUTF8")) {
            out.smtputf8 = true;
        } else if (ascii_iequals(keyword, "DSN")) {
            out.dsn = true;
        } else if (ascii_iequals(keyword, "CHUNKING")) {
            out.chunking = true;
        } else if (ascii_iequals(keyword, "STARTTLS")) {
            out.starttls = true;
        } else if (ascii_iequals(keyword, "REQUIRETLS")) {
            out.require_tls = true;
        } else if (ascii_iequals(keyword, "AUTH")) {
            parse_mechanisms(rest, out);
        } else if (keyword.size() > 5 && ascii_iequals(keyword.substr(0, 5), "AUTH=")) {
            parse_mechanisms(keyword.substr(5), out);
            parse_mechanisms(rest, out);
        } else if (ascii_iequals(keyword, "MT-PRIORITY")) {
            out.mt_priority = true;
        } else if (ascii_iequals(keyword, "DELIVERBY") && !out.deliver_by) {
            out.deliver_by = true;
            set_limit(take_word(rest), out.min_deliver_by);
        } else if (ascii_iequals(keyword, "SIZE") && !out.size) {
            out.size = true;
            set_limit(take_word(rest), out.max_message_octets);
        } else if (ascii_iequals(keyword, "LIMITS") && !limits_seen) {
            limits_seen = true;
            parse_limits(rest, out);
        }
    }
    return out;
}

}  // namespace postfleet::smtp
