#include "postfleet/smtp/parameters.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::smtp {
namespace {

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_keyword(std::string_view word) {
    return !word.empty() && is_alphanumeric(word.front()) &&
           std::all_of(word.begin(), word.end(), [](char c) { return is_alphanumeric(c) || c == '-'; });
}

// Any printable ASCII but "=" and space. Octets above 127 come with SMTPUTF8 only (RFC 6531 §3.3).
bool is_value(std::string_view word) {
    return !word.empty() &&
           std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c < 0x7f && c != '='; });
}

}  // namespace

std::optional<ParameterReader::Parameter> ParameterReader::next() {
    const auto start = rest_.find_first_not_of(" \t");
    if (start == std::string_view::npos || failed_) return std::nullopt;
    rest_.remove_prefix(start);
    const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t"));
    rest_.remove_prefix(word.size());

    const auto equals = word.find('=');
    Parameter parameter{word.substr(0, equals), std::nullopt};
    if (equals != std::string_view::npos) parameter.value = word.substr(equals + 1);
    if (!is_keyword(parameter.keyword) || (parameter.value && !is_value(*parameter.value))) {
        failed_ = true;
        return std::nullopt;
    }
    return parameter;
}

ParameterError parse_mail_parameters(std::string_view text, MailParameters& out) {
    ParameterReader reader(text);
    bool body_given = false;
    while (const auto parameter = reader.next()) {
        if (ascii_iequals(parameter->keyword, "SIZE")) {
            if (out.size_octets || !parameter->value) return ParameterError::Syntax;
            out.size_octets = parse_size_value(*parameter->value);
            if (!out.size_octets) return ParameterError::Syntax;
        } else if (ascii_iequals(parameter->keyword, "BODY")) {
            if (std::exchange(body_given, true) || !parameter->value) return ParameterError::Syntax;
            if (ascii_iequals(*parameter->value, "8BITMIME")) out.body = BodyType::EightBitMime;
            else if (!ascii_iequals(*parameter->value, "7BIT")) return ParameterError::Unsupported;
        } else {
            return ParameterError::Unknown;
        }
    }
    return reader.failed() ? ParameterError::Syntax : ParameterError::None;
}

ParameterError parse_rcpt_parameters(std::string_view text) {
    ParameterReader reader(text);
    if (reader.next()) return ParameterError::Unknown;
    return reader.failed() ? ParameterError::Syntax : ParameterError::None;
}

std::optional<std::uint64_t> parse_size_value(std::string_view digits) {
    constexpr std::size_t kMaxDigits = 20;  // RFC 1870 §4
    if (digits.empty() || digits.size() > kMaxDigits) return std::nullopt;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (end != digits.data() + digits.size()) return std::nullopt;
    if (error == std::errc::result_out_of_range) return std::numeric_limits<std::uint64_t>::max();
    return value;
}

}  // namespace postfleet::smtp
