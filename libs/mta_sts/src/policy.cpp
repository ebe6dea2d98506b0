#include "postfleet/mta_sts/policy.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::mta_sts {

namespace {

constexpr std::string_view kBlanks = " \t";

Error invalid(std::string text) { return {ErrorKind::InvalidArgument, "the policy " + std::move(text)}; }

std::string_view without_blanks_at_end(std::string_view text) {
    const auto last = text.find_last_not_of(kBlanks);
    return last == std::string_view::npos ? std::string_view{} : text.substr(0, last + 1);
}

std::string_view without_blanks_in_front(std::string_view text) {
    const auto first = text.find_first_not_of(kBlanks);
    return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

bool is_alphanumeric(char c) {
    const char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

// The name of a field: a letter or digit, then up to 31 of these and "_-." (§3.2).
bool is_field_name(std::string_view name) {
    return !name.empty() && name.size() <= 32 && is_alphanumeric(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
}

// "mail.example.com", "*.example.com"; nothing: it is neither.
std::optional<std::string> pattern_of(std::string_view text) {
    const bool is_wildcard = text.starts_with("*.");
    if (is_wildcard) text.remove_prefix(2);
    auto domain = normalize_domain(text);
    if (!domain || domain->find('*') != std::string::npos) return std::nullopt;
    return (is_wildcard ? "*." : "") + *domain;
}

std::optional<std::chrono::seconds> age_of(std::string_view text) {
    std::uint64_t seconds = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || text.size() > 10 || failed != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return std::min(kLongestAge, std::chrono::seconds(seconds));
}

// What was found so far. Only `mx` may come more than once; of the others the first counts.
struct Fields {
    bool has_version = false;
    std::optional<Mode> mode;
    std::optional<std::chrono::seconds> max_age;
    std::vector<std::string> mx;

    Status take(std::string_view name, std::string_view value) {
        if (name == "version" && !has_version) {
            if (value != "STSv1") return invalid("has an unknown version");
            has_version = true;
        } else if (name == "mode" && !mode) {
            if (value == "enforce") mode = Mode::Enforce;
            else if (value == "testing") mode = Mode::Testing;
            else if (value == "none") mode = Mode::None;
            else return invalid("has an unknown mode");
        } else if (name == "max_age" && !max_age) {
            max_age = age_of(value);
            if (!max_age) return invalid("has a max_age that is no number of seconds");
        } else if (name == "mx") {
            auto pattern = pattern_of(value);
            if (!pattern) return invalid("has an mx that is no host name");
            if (mx.size() == kMaxPatterns) return invalid("names too many hosts");
            mx.push_back(std::move(*pattern));
        }
        return {};
    }
};

}  // namespace

Result<Policy> parse_policy(std::string_view text) {
    if (text.size() > kMaxPolicyOctets) return invalid("is too large");
    Fields fields;
    while (!text.empty()) {
        const auto end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        line = without_blanks_at_end(line);
        if (line.empty() && text.empty()) break;  // some editors end a file with an empty line
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_field_name(line.substr(0, colon))) {
            return invalid("has a line that is not `key: value`");
        }
        const std::string_view value = without_blanks_in_front(line.substr(colon + 1));
        if (Status taken = fields.take(line.substr(0, colon), value); !taken) return taken.error();
    }
    if (!fields.has_version) return invalid("has no version");
    if (!fields.mode) return invalid("has no mode");
    if (!fields.max_age) return invalid("has no max_age");
    if (fields.mx.empty() && *fields.mode != Mode::None) return invalid("names no host");
    return Policy{*fields.mode, std::move(fields.mx), *fields.max_age};
}

std::string to_text(const Policy& policy) {
    std::string text = "version: STSv1\nmode: " + std::string(to_string(policy.mode)) + '\n';
    for (const std::string& mx : policy.mx) text += "mx: " + mx + '\n';
    return text + "max_age: " + std::to_string(policy.max_age.count()) + '\n';
}

std::string_view to_string(Mode mode) {
    switch (mode) {
        case Mode::None: return "none";
        case Mode::Testing: return "testing";
        case Mode::Enforce: return "enforce";
    }
    return "";
}

bool covers(const Policy& policy, std::string_view host) {
    return std::any_of(policy.mx.begin(), policy.mx.end(), [&](std::string_view pattern) {
        if (!pattern.starts_with("*.")) return host == pattern;
        const auto dot = host.find('.');
        return dot != 0 && dot != std::string_view::npos && host.substr(dot) == pattern.substr(1);
    });
}

// v=STSv1 *WSP ";" *WSP id=… and extensions, each after a ";".
std::optional<std::string> record_id(const std::vector<std::string>& records) {
    constexpr std::string_view kVersion = "v=STSv1";
    const std::string* only = nullptr;
    for (const std::string& record : records) {
        if (!record.starts_with(kVersion)) continue;
        const auto rest = without_blanks_in_front(std::string_view(record).substr(kVersion.size()));
        if (!rest.starts_with(';')) continue;
        if (only != nullptr) return std::nullopt;  // which of them?
        only = &record;
    }
    if (only == nullptr) return std::nullopt;
    std::optional<std::string> id;
    bool is_first = true;
    const auto fields = split(*only, ';');
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const std::string_view field = without_blanks_in_front(without_blanks_at_end(fields[i]));
        if (std::exchange(is_first, false)) continue;
        if (field.empty() && i + 1 == fields.size()) break;
        const auto equals = field.find('=');
        if (equals == std::string_view::npos || !is_field_name(field.substr(0, equals))) return std::nullopt;
        const std::string_view value = field.substr(equals + 1);
        const bool is_visible = std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7f; });
        if (value.empty() || !is_visible) return std::nullopt;
        if (field.substr(0, equals) != "id" || id) continue;
        if (value.size() > 32 || !std::all_of(value.begin(), value.end(), is_alphanumeric)) return std::nullopt;
        id = value;
    }
    return id;
}

}  // namespace postfleet::mta_sts
