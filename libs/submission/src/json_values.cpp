#include "json_values.hpp"

#include "postfleet/base/base64.hpp"
#include "times.hpp"

namespace postfleet::submission {
namespace {

std::string_view view_of(const json::string& text) { return {text.data(), text.size()}; }

// `"Shop, the" <shop@example.com>` without its quotes.
std::string unquoted(std::string_view text) {
    if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return std::string(text);
    text = text.substr(1, text.size() - 2);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        out.push_back(text[i]);
    }
    return out;
}

NamedAddress parse_named(std::string_view text) {
    text = trim(text);
    const std::size_t begin = text.rfind('<');
    if (begin == std::string_view::npos || !text.ends_with('>')) return {.name = {}, .address = std::string(text)};
    return {.name = unquoted(trim(text.substr(0, begin))),
            .address = std::string(trim(text.substr(begin + 1, text.size() - begin - 2)))};
}

constexpr Member<NamedAddress> kAddressMembers[] = {
    {"address",
     [](NamedAddress& into, const Place& place) -> Status {
         auto text = text_of(place);
         if (!text) return text.error();
         into.address = std::move(*text);
         return {};
     }},
    {"name",
     [](NamedAddress& into, const Place& place) -> Status {
         auto text = text_of(place);
         if (!text) return text.error();
         into.name = std::move(*text);
         return {};
     }},
};

// Text that programs have broken into lines; anything else that is no Base64 stays, and is refused.
std::string without_line_ends(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (c != '\r' && c != '\n' && c != ' ') out.push_back(c);
    }
    return out;
}

}  // namespace

Place member_of(const Place& object, std::string_view name) {
    std::string path = object.path.empty() ? "" : object.path + ".";
    return {object.value->get_object().if_contains(json::string_view(name.data(), name.size())),
            path + printable(name, 80)};
}

Place item_of(const Place& list, std::size_t index) {
    return {&list.value->get_array()[index], list.path + "[" + std::to_string(index) + "]"};
}

Error wrong(const Place& place, std::string_view what) {
    return {ErrorKind::InvalidArgument, (place.path.empty() ? "the body" : place.path) + ": " + std::string(what)};
}

Error unknown_member(const Place& place) {
    return wrong(place, "is no field that is known here; what is yours alone belongs into metadata");
}

Error said_twice(const Place& place, std::string_view other) {
    return wrong(place, "says the same as " + std::string(other) + "; give one of them");
}

Result<std::string> text_of(const Place& place) {
    if (!place.value->is_string()) return wrong(place, "must be a text");
    return std::string(view_of(place.value->get_string()));
}

Result<std::string> scalar_of(const Place& place) {
    switch (place.value->kind()) {
        case json::kind::null: return std::string();
        case json::kind::string: return text_of(place);
        case json::kind::bool_:
        case json::kind::int64:
        case json::kind::uint64:
        case json::kind::double_: return json::serialize(*place.value);
        case json::kind::array:
        case json::kind::object: break;
    }
    return wrong(place, "must be a text, a number, true or false");
}

Result<std::int64_t> number_of(const Place& place) {
    if (!place.value->is_int64()) return wrong(place, "must be a whole number");
    return place.value->get_int64();
}

Result<bool> flag_of(const Place& place) {
    if (!place.value->is_bool()) return wrong(place, "must be true or false");
    return place.value->get_bool();
}

Result<WallTime> time_of(const Place& place) {
    std::optional<WallTime> time;
    if (place.value->is_string()) time = parse_time(view_of(place.value->get_string()));
    else if (place.value->is_int64()) time = time_of_seconds(place.value->get_int64());
    if (!time) return wrong(place, kTimeAdvice);
    return *time;
}

Result<std::string> base64_of(const Place& place) {
    if (!place.value->is_string()) return wrong(place, "must be a text in Base64");
    auto octets = base64_decode(without_line_ends(view_of(place.value->get_string())));
    if (!octets) return wrong(place, "is not Base64 (RFC 4648 §4, with \"=\" at its end where it needs one)");
    return std::move(*octets);
}

Result<std::vector<std::string>> texts_of(const Place& place) {
    std::vector<std::string> texts;
    if (!place.value->is_array()) {
        auto text = text_of(place);
        if (!text) return wrong(place, "must be a text, or a list of texts");
        texts.push_back(std::move(*text));
        return texts;
    }
    for (std::size_t i = 0; i < place.value->get_array().size(); ++i) {
        auto text = text_of(item_of(place, i));
        if (!text) return text.error();
        texts.push_back(std::move(*text));
    }
    return texts;
}

Result<NamedAddress> address_of(const Place& place) {
    if (place.value->is_string()) return parse_named(view_of(place.value->get_string()));
    if (!place.value->is_object()) {
        return wrong(place,
                     R"(must be an address such as "Shop <shop@example.com>", or an object with address and name)");
    }
    NamedAddress address;
    if (Status taken = take_members<NamedAddress>(address, place, kAddressMembers); !taken) return taken.error();
    return address;
}

Result<std::vector<NamedAddress>> addresses_of(const Place& place) {
    std::vector<NamedAddress> addresses;
    const std::size_t count = place.value->is_array() ? place.value->get_array().size() : 1;
    for (std::size_t i = 0; i < count; ++i) {
        auto address = address_of(place.value->is_array() ? item_of(place, i) : place);
        if (!address) return address.error();
        addresses.push_back(std::move(*address));
    }
    return addresses;
}

Result<std::vector<std::pair<std::string, std::string>>> pairs_of(const Place& place) {
    if (!place.value->is_object()) return wrong(place, R"(must be an object such as {"name": "value"})");
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const auto& entry : place.value->get_object()) {
        const std::string_view name(entry.key().data(), entry.key().size());
        auto value = scalar_of(member_of(place, name));
        if (!value) return value.error();
        pairs.emplace_back(name, std::move(*value));
    }
    return pairs;
}

Result<MergeVariables> variables_of(const Place& place) {
    const auto pairs = pairs_of(place);
    if (!pairs) return pairs.error();
    // Before they are compared with each other, and given to everybody.
    const auto too_many = [&] {
        return wrong(place, "are too many; at most " + std::to_string(kMaxMergeVariables) + ", and " +
                                format_size(kMaxMergeOctets) + " together");
    };
    if (pairs->size() > kMaxMergeVariables) return too_many();
    MergeVariables variables;
    for (const auto& [given, value] : *pairs) {
        const std::string name = to_ascii_lower(given);
        const Place here = member_of(place, given);
        if (merge_name_length(name) != name.size() || name.empty()) {
            return wrong(here, "is not the name of a variable: a letter, then letters, digits and \"_\", at most 64");
        }
        if (variables.find(name)) return wrong(here, "is given twice; case does not matter in names");
        variables.add(name, value);
        if (variables.octets().size() > kMaxMergeOctets) return too_many();
    }
    return variables;
}

}  // namespace postfleet::submission
