#include "codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "postfleet/config/names.hpp"
#include "postfleet/base/pattern.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::config {

namespace {

constexpr std::size_t kMaxNameOctets = 64;

std::optional<std::uint64_t> parse_digits(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::string> check_domain(std::string& text) {
    auto domain = normalize_domain(text);
    if (!domain) return "is not a domain name; write letters, digits and hyphens between dots";
    text = *domain;
    return std::nullopt;
}

std::optional<std::string> check_domain_pattern(std::string& text) {
    if (text == "*") return std::nullopt;
    const bool below = text.size() > 1 && text.front() == '.';
    std::string domain = text.substr(below ? 1 : 0);
    if (auto wrong = check_domain(domain)) return *wrong + ", or \"*\"";
    text = below ? "." + domain : domain;
    return std::nullopt;
}

std::optional<std::string> check_ehlo(std::string& text) {
    if (!text.starts_with('[')) {
        auto wrong = check_domain(text);
        if (wrong && IpAddress::parse(text)) return "is an address; write it in brackets: [192.0.2.1]";
        return wrong;
    }
    std::string_view inside = text;
    inside.remove_prefix(1);
    if (inside.ends_with(']')) inside.remove_suffix(1);
    if (ascii_istarts_with(inside, "IPv6:")) inside.remove_prefix(5);
    const auto address = IpAddress::parse(inside);
    if (!address || address->to_literal().size() != text.size()) {
        return "is not an address literal; write [192.0.2.1] or [IPv6:2001:db8::1]";
    }
    text = address->to_literal();
    return std::nullopt;
}

std::optional<std::string> check_pattern(std::string& text) {
    const auto pattern = Pattern::compile(text);
    if (pattern) return std::nullopt;
    // The reason without the pattern itself, which stands before it already.
    std::string_view reason = pattern.error().text;
    if (const auto at = reason.rfind(", character "); at != std::string_view::npos) reason.remove_prefix(at + 2);
    return fmt::format("is not a pattern: {}", reason);
}

bool is_label_octet(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::optional<std::string> check_wildcard(std::string& text) {
    const bool good = !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
        return is_label_octet(c) || c == '.' || c == '*' || c == '?' || c == ':';
    });
    if (!good) return "is not a wildcard over host names; write *.example.com";
    if (text.find_first_not_of("*.?") == std::string::npos) return "would take every host into the provider";
    text = to_ascii_lower(text);
    return std::nullopt;
}

std::optional<std::string> check_refusal(std::string& text) {
    const auto is_digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '9'; };
    const bool good = text.size() > 4 && text.size() <= 512 && (text[0] == '4' || text[0] == '5') && is_digit(1) &&
                      is_digit(2) && text[3] == ' ' &&
                      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (good) return std::nullopt;
    return "is not a refusal; write a code from 400 to 599 and a text: 550 5.7.1 not from here";
}

}  // namespace

namespace {

struct Period {
    char unit;
    Duration length;
};
constexpr Period kPeriods[] = {{'s', std::chrono::seconds(1)},
                               {'m', std::chrono::minutes(1)},
                               {'h', std::chrono::hours(1)},
                               {'d', std::chrono::hours(24)}};

char unit_of(Duration period) {
    const auto* const found =
        std::find_if(std::begin(kPeriods), std::end(kPeriods), [&](const Period& p) { return p.length == period; });
    return found == std::end(kPeriods) ? 'd' : found->unit;
}

// Zero: no such unit.
Duration period_of(std::string_view unit) {
    for (const Period& period : kPeriods) {
        if (unit.size() == 1 && unit.front() == period.unit) return period.length;
    }
    return {};
}

constexpr std::string_view kSendsNothing = "would send nothing; to stop a queue use `postfleet pause`";

}  // namespace

std::string Rate::to_string() const {
    if (is_unlimited()) return "unlimited";
    return fmt::format("{}/{}", count, unit_of(period));
}

std::string DataRate::to_string() const {
    if (is_unlimited()) return "unlimited";
    return fmt::format("{}/{}", format_size(octets), unit_of(period));
}

Duration DataRate::time_for(std::uint64_t amount) const {
    if (is_unlimited()) return {};
    const long double share = static_cast<long double>(amount) / static_cast<long double>(octets);
    constexpr long double kLongest = static_cast<long double>(Duration(std::chrono::hours(24 * 365)).count());
    return Duration(static_cast<Duration::rep>(std::min(share * static_cast<long double>(period.count()), kLongest)));
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= kMaxNameOctets && is_label_octet(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_label_octet(c) || c == '.'; });
}

std::optional<std::string> check_name(std::string& text) {
    if (is_name(text)) return std::nullopt;
    return fmt::format("is not a name; use up to {} letters, digits, '-', '_' and '.'", kMaxNameOctets);
}

TextCodec domain_codec() { return {"domain name", check_domain}; }
TextCodec domain_pattern_codec() { return {"domain, `.domain` or `*`", check_domain_pattern}; }
TextCodec ehlo_codec() { return {"domain name or address literal", check_ehlo}; }
TextCodec pattern_codec() { return {"pattern", check_pattern}; }
TextCodec name_codec(std::string what) { return {std::move(what), check_name}; }
TextCodec refusal_codec() { return {"reply", check_refusal}; }
TextCodec wildcard_codec() { return {"wildcard", check_wildcard}; }

std::optional<std::string> TextCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    auto text = reader.scalar(node, path, type_name);
    if (!text) return std::nullopt;
    if (text->empty()) {
        reader.report(node.origin, path, fmt::format("is empty; must be {}", type_name));
        return std::nullopt;
    }
    if (check != nullptr) {
        if (const auto wrong = check(*text)) {
            reader.report_value(node, path, *wrong);
            return std::nullopt;
        }
    }
    return text;
}

std::optional<std::string> PathCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto text = reader.scalar(node, path, "a path");
    if (!text) return std::nullopt;
    if (text->empty() || text->find('\0') != std::string::npos) {
        reader.report(node.origin, path, "is not a path");
        return std::nullopt;
    }
    return reader.absolute_path(*text);
}

std::optional<std::uint32_t> CountCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto text = reader.scalar(node, path, "a whole number");
    if (!text) return std::nullopt;
    if (may_be_unlimited && *text == "unlimited") return kUnlimited;
    const auto number = parse_digits(*text);
    if (number && *number >= lowest && *number <= highest) return static_cast<std::uint32_t>(*number);
    std::string what = fmt::format("is not a whole number from {} to {}", lowest, highest);
    if (may_be_unlimited) what += ", or unlimited";
    if (number && *number == 0 && !zero_advice.empty()) what += fmt::format("; {}", zero_advice);
    reader.report_value(node, path, what);
    return std::nullopt;
}

std::string CountCodec::show(std::uint32_t value) const {
    return may_be_unlimited && value == kUnlimited ? "unlimited" : std::to_string(value);
}

std::string CountCodec::type() const {
    return fmt::format("number from {}{}", lowest, may_be_unlimited ? ", or `unlimited`" : "");
}

std::string CountCodec::json() const {
    const auto number = fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", lowest, highest);
    return may_be_unlimited ? fmt::format(R"({{"anyOf":[{},{{"const":"unlimited"}}]}})", number) : number;
}

std::optional<std::uint64_t> SizeCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto text = reader.scalar(node, path, "a size");
    if (!text) return std::nullopt;
    const auto size = parse_size(*text);
    if (!size) {
        reader.report_value(node, path, "is not a size; write octets, KiB, MiB or GiB, such as 10MiB");
        return std::nullopt;
    }
    if (*size < lowest) {
        reader.report_value(node, path, fmt::format("is too small; at least {}", format_size(lowest)));
        return std::nullopt;
    }
    if (*size > highest) {
        reader.report_value(node, path, fmt::format("is too large; at most {}", format_size(highest)));
        return std::nullopt;
    }
    return *size;
}

std::string SizeCodec::show(std::uint64_t value) const { return format_size(value); }

std::string SizeCodec::json() const {
    return R"({"anyOf":[{"type":"integer","minimum":0},{"type":"string","pattern":"^[0-9]+(KiB|MiB|GiB|TiB)?$"}]})";
}

std::optional<Duration> DurationCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto text = reader.scalar(node, path, "a duration");
    if (!text) return std::nullopt;
    const auto duration = parse_duration(*text);
    if (!duration) {
        reader.report_value(node, path, "is not a duration; write numbers with ms, s, m, h or d, such as 90s or 4d12h");
        return std::nullopt;
    }
    if (*duration < lowest || *duration > highest) {
        reader.report_value(
            node, path, fmt::format("is out of range; {} to {}", format_duration(lowest), format_duration(highest)));
        return std::nullopt;
    }
    return *duration;
}

std::string DurationCodec::show(Duration value) const { return format_duration(value); }

std::string DurationCodec::json() const {
    return R"({"type":["string","integer"],"pattern":"^([0-9]+(ms|s|m|h|d))+$|^0$","maximum":0,"minimum":0})";
}

std::optional<DurationOrNever> DurationOrNeverCodec::read(Reader& reader, const Node& node,
                                                          const std::string& path) const {
    if (node.kind == Node::Kind::Scalar && node.scalar == "never") return DurationOrNever{};
    const auto duration = each.read(reader, node, path);
    if (!duration) return std::nullopt;
    return DurationOrNever{*duration};
}

std::string DurationOrNeverCodec::show(const DurationOrNever& value) const {
    return value.is_never() ? "never" : each.show(value.value);
}

std::string DurationOrNeverCodec::json() const { return R"({"anyOf":[{"const":"never"},)" + each.json() + "]}"; }

std::optional<Rate> RateCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    constexpr std::uint64_t kHighest = 1'000'000'000;  // finer than a nanosecond makes no sense
    const auto text = reader.scalar(node, path, "a rate");
    if (!text) return std::nullopt;
    if (*text == "unlimited") return Rate{};
    const auto slash = text->find('/');
    std::optional<std::uint64_t> count;
    Duration period{};
    if (slash != std::string::npos) {
        count = parse_digits(std::string_view(*text).substr(0, slash));
        period = period_of(std::string_view(*text).substr(slash + 1));
    }
    if (!count || period == Duration{}) {
        reader.report_value(node, path, "is not a rate; write N/s, N/m, N/h or N/d, such as 500/m, or unlimited");
        return std::nullopt;
    }
    if (*count == 0 || *count > kHighest) {
        reader.report_value(
            node, path, *count == 0 ? std::string(kSendsNothing) : "is too high; write unlimited if there is no limit");
        return std::nullopt;
    }
    return Rate{*count, period};
}

std::string RateCodec::json() const {
    return R"({"type":"string","pattern":"^[1-9][0-9]*/[smhd]$|^unlimited$","examples":["500/m"]})";
}

std::optional<DataRate> DataRateCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto text = reader.scalar(node, path, "a rate of data");
    if (!text) return std::nullopt;
    if (*text == "unlimited") return DataRate{};
    const auto slash = text->find('/');
    const auto octets = parse_size(text->substr(0, slash));
    const Duration period =
        slash == std::string::npos ? Duration{} : period_of(std::string_view(*text).substr(slash + 1));
    if (!octets || period == Duration{}) {
        reader.report_value(node, path,
                            "is not a rate of data; write a size per s, m, h or d, such as 10MiB/m, or unlimited");
        return std::nullopt;
    }
    if (*octets == 0) {
        reader.report_value(node, path, std::string(kSendsNothing));
        return std::nullopt;
    }
    return DataRate{*octets, period};
}

std::string DataRateCodec::json() const {
    return R"({"type":"string","pattern":"^[0-9]+(KiB|MiB|GiB|TiB)?/[smhd]$|^unlimited$","examples":["10MiB/m"]})";
}

std::optional<bool> FlagCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto text = reader.scalar(node, path, "true or false");
    if (!text) return std::nullopt;
    if (*text == "true") return true;
    if (*text == "false") return false;
    reader.report_value(node, path, "must be true or false");
    return std::nullopt;
}

std::optional<std::size_t> read_word(Reader& reader, const Node& node, const std::string& path,
                                     const std::vector<std::string>& words) {
    const std::string expected = fmt::format("one of: {}", fmt::join(words, ", "));
    const auto text = reader.scalar(node, path, expected);
    if (!text) return std::nullopt;
    const auto found = std::find(words.begin(), words.end(), *text);
    if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
    reader.report_value(node, path, fmt::format("must be {}{}", expected, suggestion(*text, words)));
    return std::nullopt;
}

std::string words_type(const std::vector<std::string>& words) { return fmt::format("`{}`", fmt::join(words, "`, `")); }

std::string words_json(const std::vector<std::string>& words) {
    return fmt::format(R"({{"enum":["{}"]}})", fmt::join(words, R"(",")"));
}

}  // namespace postfleet::config
