#include "postfleet/smtp/parameters.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/smtp/xtext.hpp"

namespace postfleet::smtp {
namespace {

struct NotifyWord {
    std::string_view word;
    std::uint8_t bit;
};
constexpr NotifyWord kNotifyWords[] = {
    {"NEVER", kNotifyNever}, {"SUCCESS", kNotifySuccess}, {"FAILURE", kNotifyFailure}, {"DELAY", kNotifyDelay}};

// RFC 6533 §3: the only address type with an encoding of its own.
constexpr std::string_view kUtf8AddressType = "utf-8";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_keyword(std::string_view word) {
    return !word.empty() && is_alphanumeric(word.front()) &&
           std::all_of(word.begin(), word.end(), [](char c) { return is_alphanumeric(c) || c == '-'; });
}

// Any printable ASCII but "=" and space, and octets above 127 where they may be.
bool is_value(std::string_view word, Mailbox::Utf8 utf8) {
    return !word.empty() && std::all_of(word.begin(), word.end(), [utf8](char c) {
        if ((c & 0x80) != 0) return utf8 == Mailbox::Utf8::Allow;
        return c > ' ' && c < 0x7f && c != '=';
    });
}

ParameterError take_size(std::string_view value, MailParameters& out) {
    if (out.size_octets) return ParameterError::Syntax;
    out.size_octets = parse_size_value(value);
    return out.size_octets ? ParameterError::None : ParameterError::Syntax;
}

ParameterError take_body(std::string_view value, MailParameters& out) {
    if (ascii_iequals(value, "8BITMIME")) out.body = BodyType::EightBitMime;
    else if (!ascii_iequals(value, "7BIT")) return ParameterError::Unsupported;
    return ParameterError::None;
}

ParameterError take_return_content(std::string_view value, MailParameters& out) {
    if (out.return_content != ReturnContent::NotGiven) return ParameterError::Syntax;
    if (ascii_iequals(value, "FULL")) out.return_content = ReturnContent::Full;
    else if (ascii_iequals(value, "HDRS")) out.return_content = ReturnContent::Headers;
    else return ParameterError::Syntax;
    return ParameterError::None;
}

ParameterError take_envelope_id(std::string_view value, MailParameters& out) {
    if (!out.envelope_id.empty() || value.size() > kMaxEnvelopeIdOctets) return ParameterError::Syntax;
    auto decoded = decode_xtext(value);
    if (!decoded) return ParameterError::Syntax;
    out.envelope_id = *std::move(decoded);
    return ParameterError::None;
}

// Who the client says has sent it (RFC 4954 §5). Nobody is believed, which is the same as AUTH=<>.
ParameterError take_submitter(std::string_view value, MailParameters&) {
    return decode_xtext(value) ? ParameterError::None : ParameterError::Syntax;
}

constexpr std::size_t kMaxSecondsDigits = 9;  // RFC 4865 §4.1, RFC 2852 §4

std::optional<std::chrono::seconds> parse_seconds(std::string_view digits) {
    std::uint32_t value = 0;
    if (digits.empty() || digits.size() > kMaxSecondsDigits) return std::nullopt;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return std::chrono::seconds(value);
}

ParameterError take_hold_for(std::string_view value, MailParameters& out) {
    if (out.schedule.hold_for || out.schedule.hold_until) return ParameterError::Syntax;
    out.schedule.hold_for = parse_seconds(value);
    return out.schedule.hold_for ? ParameterError::None : ParameterError::Syntax;
}

// RFC 3339 §5.6 in UTC, with or without a fraction of the second.
std::optional<WallTime> parse_utc_time(std::string_view text) {
    constexpr std::string_view kForm = "0000-00-00T00:00:00";
    if (text.size() < kForm.size() + 1 || text.back() != 'Z') return std::nullopt;
    for (std::size_t i = 0; i < kForm.size(); ++i) {
        const bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (kForm[i] == '0' ? !is_digit : text[i] != kForm[i]) return std::nullopt;
    }
    const auto number = [text](std::size_t at, std::size_t digits) {
        int value = 0;
        for (const char c : text.substr(at, digits)) value = value * 10 + (c - '0');
        return value;
    };
    const std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                          std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                          std::chrono::day(static_cast<unsigned>(number(8, 2)))};
    const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
    if (!day.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
    WallTime time = std::chrono::sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                    std::chrono::seconds(second);
    const std::string_view fraction = text.substr(kForm.size(), text.size() - kForm.size() - 1);
    if (fraction.empty()) return time;
    if (fraction.size() < 2 || fraction.front() != '.') return std::nullopt;
    int weight = 100'000;  // microseconds
    for (const char c : fraction.substr(1)) {
        if (c < '0' || c > '9') return std::nullopt;
        time += std::chrono::microseconds((c - '0') * weight);
        weight /= 10;
    }
    return time;
}

ParameterError take_hold_until(std::string_view value, MailParameters& out) {
    const auto time = parse_utc_time(value);
    if (out.schedule.hold_for || out.schedule.hold_until || !time) return ParameterError::Syntax;
    out.schedule.hold_until = *time;
    return ParameterError::None;
}

// "600;R", "600;RT", "-20;N": only what is to be reported as late may be late already (RFC 2852 §4).
ParameterError take_deliver_by(std::string_view value, MailParameters& out) {
    const std::size_t semicolon = value.find(';');
    if (out.schedule.deliver_by || semicolon == std::string_view::npos) return ParameterError::Syntax;
    std::string_view mode = value.substr(semicolon + 1);
    MailSchedule::By by;
    by.trace = mode.size() == 2 && ascii_lower(mode[1]) == 't';
    if (by.trace) mode.remove_suffix(1);
    if (ascii_iequals(mode, "N")) by.mode = DeliverBy::Mode::Notify;
    else if (!ascii_iequals(mode, "R")) return ParameterError::Syntax;
    const bool is_signed = value[0] == '-' || value[0] == '+';
    const auto seconds = parse_seconds(value.substr(is_signed ? 1 : 0, semicolon - (is_signed ? 1 : 0)));
    if (!seconds) return ParameterError::Syntax;
    by.after = value[0] == '-' ? -*seconds : *seconds;
    if (by.mode == DeliverBy::Mode::Return && by.after.count() <= 0) return ParameterError::Syntax;
    out.schedule.deliver_by = by;
    return ParameterError::None;
}

// -9 to 9 (RFC 6710 §3).
ParameterError take_priority(std::string_view value, MailParameters& out) {
    const bool negative = value.front() == '-';
    if (negative) value.remove_prefix(1);
    if (out.schedule.priority || value.size() != 1 || value[0] < (negative ? '1' : '0') || value[0] > '9') {
        return ParameterError::Syntax;
    }
    const int level = value[0] - '0';
    out.schedule.priority = static_cast<std::int8_t>(negative ? -level : level);
    return ParameterError::None;
}

// NEVER stands alone (RFC 3461 §4.1).
ParameterError take_notify(std::string_view value, RcptParameters& out) {
    if (out.notify != 0) return ParameterError::Syntax;
    for (const std::string_view word : split(value, ',')) {
        const NotifyWord* const known = std::find_if(std::begin(kNotifyWords), std::end(kNotifyWords),
                                                     [word](auto& row) { return ascii_iequals(row.word, word); });
        if (known == std::end(kNotifyWords)) return ParameterError::Syntax;
        out.notify |= known->bit;
    }
    const bool mixed = (out.notify & kNotifyNever) != 0 && out.notify != kNotifyNever;
    return mixed ? ParameterError::Syntax : ParameterError::None;
}

ParameterError take_original_recipient(std::string_view value, Mailbox::Utf8 utf8, RcptParameters& out) {
    const std::size_t semicolon = value.find(';');
    const std::string_view type = value.substr(0, semicolon);
    if (!out.original.empty() || value.size() > kMaxOriginalRecipientOctets || semicolon == std::string_view::npos ||
        !is_keyword(type)) {
        return ParameterError::Syntax;
    }
    const std::string_view address = value.substr(semicolon + 1);
    if (ascii_iequals(type, kUtf8AddressType)) {
        if (!is_utf8_address(address, utf8 == Mailbox::Utf8::Allow)) return ParameterError::Syntax;
        out.original = value;
        return ParameterError::None;
    }
    const auto decoded = decode_xtext(address);
    if (!decoded || decoded->empty()) return ParameterError::Syntax;
    out.original.assign(type).append(1, ';').append(*decoded);
    return ParameterError::None;
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
    if (!is_keyword(parameter.keyword) || (parameter.value && !is_value(*parameter.value, utf8_))) {
        failed_ = true;
        return std::nullopt;
    }
    return parameter;
}

ParameterError parse_mail_parameters(std::string_view text, MailParameters& out, MailOffers offers) {
    ParameterReader reader(text);
    bool body_given = false, auth_given = false;
    while (const auto parameter = reader.next()) {
        const std::string_view keyword = parameter->keyword;
        if (ascii_iequals(keyword, "SMTPUTF8")) {
            if (std::exchange(out.smtputf8, true) || parameter->value) return ParameterError::Syntax;
            continue;
        }
        if (offers.require_tls && ascii_iequals(keyword, "REQUIRETLS")) {
            if (std::exchange(out.require_tls, true) || parameter->value) return ParameterError::Syntax;
            continue;
        }
        if (offers.verp && ascii_iequals(keyword, "VERP")) {
            if (std::exchange(out.verp, true) || parameter->value) return ParameterError::Syntax;
            continue;
        }
        ParameterError (*take)(std::string_view, MailParameters&) = nullptr;
        if (ascii_iequals(keyword, "SIZE")) take = take_size;
        else if (ascii_iequals(keyword, "BODY")) take = take_body;
        else if (ascii_iequals(keyword, "RET")) take = take_return_content;
        else if (ascii_iequals(keyword, "ENVID")) take = take_envelope_id;
        else if (ascii_iequals(keyword, "AUTH")) take = take_submitter;
        else if (offers.future_release && ascii_iequals(keyword, "HOLDFOR")) take = take_hold_for;
        else if (offers.future_release && ascii_iequals(keyword, "HOLDUNTIL")) take = take_hold_until;
        else if (offers.deliver_by && ascii_iequals(keyword, "BY")) take = take_deliver_by;
        else if (offers.mt_priority && ascii_iequals(keyword, "MT-PRIORITY")) take = take_priority;
        else return ParameterError::Unknown;
        if (take == take_submitter && std::exchange(auth_given, true)) return ParameterError::Syntax;
        if (take == take_body && std::exchange(body_given, true)) return ParameterError::Syntax;
        if (!parameter->value) return ParameterError::Syntax;
        const ParameterError error = take(*parameter->value, out);
        if (error != ParameterError::None) return error;
    }
    return reader.failed() ? ParameterError::Syntax : ParameterError::None;
}

ParameterError parse_rcpt_parameters(std::string_view text, Mailbox::Utf8 utf8, RcptParameters& out) {
    ParameterReader reader(text, utf8);
    while (const auto parameter = reader.next()) {
        ParameterError error = ParameterError::Syntax;
        if (ascii_iequals(parameter->keyword, "NOTIFY")) {
            if (parameter->value) error = take_notify(*parameter->value, out);
        } else if (ascii_iequals(parameter->keyword, "ORCPT")) {
            if (parameter->value) error = take_original_recipient(*parameter->value, utf8, out);
        } else {
            error = ParameterError::Unknown;
        }
        if (error != ParameterError::None) return error;
    }
    return reader.failed() ? ParameterError::Syntax : ParameterError::None;
}

void append_notify(std::string& out, std::uint8_t notify) {
    out.append(" NOTIFY");
    char before = '=';
    for (const NotifyWord& row : kNotifyWords) {
        if ((notify & row.bit) == 0) continue;
        out.append(1, std::exchange(before, ',')).append(row.word);
    }
}

void append_original_recipient(std::string& out, std::string_view original) {
    const std::size_t address_at = original.find(';') + 1;
    out.append(" ORCPT=").append(original.substr(0, address_at));
    if (ascii_iequals(original.substr(0, address_at - 1), kUtf8AddressType)) out.append(original.substr(address_at));
    else append_xtext(out, original.substr(address_at));
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
