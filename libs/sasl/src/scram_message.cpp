#include "scram_message.hpp"

#include <algorithm>

#include "postfleet/sasl/server_exchange.hpp"
#include "user_name.hpp"

namespace postfleet::sasl {

namespace {

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// Takes "x=value" up to the next comma from the front; no value if the attribute is another one.
std::optional<std::string_view> take_attribute(std::string_view& text, char name) {
    if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view value = text.substr(2, end - 2);
    text.remove_prefix(std::min(end + 1, text.size()));
    return value;
}

// saslname: "=2C" is a comma, "=3D" an equals sign, nothing else may follow "=".
std::optional<std::string> decode_name(std::string_view text) {
    std::string name;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '=') {
            name += text[at];
            continue;
        }
        const std::string_view code = text.substr(at, 3);
        if (code == "=2C") name += ',';
        else if (code == "=3D") name += '=';
        else return std::nullopt;
        at += 2;
    }
    return name;
}

bool is_binding_flag(std::string_view flag) {
    if (flag == "n" || flag == "y") return true;
    return flag.starts_with("p=") && flag.size() > 2 && std::all_of(flag.begin() + 2, flag.end(), [](char c) {
               return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-';
           });
}

bool is_nonce(std::string_view text) {
    return !text.empty() && text.size() <= kMaxClientNonceOctets &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Extensions: any other attributes, each "letter=value". "m" is one that must be understood, and we know none.
bool are_extensions(std::string_view text) {
    while (!text.empty()) {
        if (text.size() < 3 || !is_letter(text[0]) || text[0] == 'm' || text[1] != '=') return false;
        const std::size_t end = text.find(',');
        if (end == 2 || end == text.size() - 1) return false;
        text.remove_prefix(std::min(end, text.size() - 1) + 1);
    }
    return true;
}

}  // namespace

std::optional<ClientFirst> parse_client_first(std::string_view message) {
    ClientFirst parsed;
    const std::size_t first_comma = message.find(',');
    if (first_comma == std::string_view::npos) return std::nullopt;
    const std::size_t second_comma = message.find(',', first_comma + 1);
    if (second_comma == std::string_view::npos) return std::nullopt;
    parsed.binding_flag = message.substr(0, first_comma);
    parsed.gs2_header = message.substr(0, second_comma + 1);
    parsed.bare = message.substr(second_comma + 1);
    if (!is_binding_flag(parsed.binding_flag)) return std::nullopt;

    std::string_view authorization = message.substr(first_comma + 1, second_comma - first_comma - 1);
    if (!authorization.empty()) {
        const auto value = take_attribute(authorization, 'a');
        const auto name = value ? decode_name(*value) : std::nullopt;
        if (!name || !is_user_name(*name)) return std::nullopt;
        parsed.authorization_name = *name;
    }
    std::string_view rest = parsed.bare;
    const auto user = take_attribute(rest, 'n');
    const auto name = user ? decode_name(*user) : std::nullopt;
    if (!name || !is_user_name(*name)) return std::nullopt;
    parsed.user = *name;
    const auto nonce = take_attribute(rest, 'r');
    if (!nonce || !is_nonce(*nonce) || !are_extensions(rest) || parsed.bare.ends_with(',')) return std::nullopt;
    parsed.nonce = *nonce;
    return parsed;
}

std::optional<ClientFinal> parse_client_final(std::string_view message) {
    ClientFinal parsed;
    const std::size_t proof = message.rfind(",p=");
    if (proof == std::string_view::npos) return std::nullopt;
    parsed.without_proof = message.substr(0, proof);
    parsed.proof = message.substr(proof + 3);
    std::string_view rest = parsed.without_proof;
    const auto binding = take_attribute(rest, 'c');
    const auto nonce = take_attribute(rest, 'r');
    if (!binding || !nonce || !are_extensions(rest) || parsed.without_proof.ends_with(',')) return std::nullopt;
    parsed.binding = *binding;
    parsed.nonce = *nonce;
    return parsed;
}

}  // namespace postfleet::sasl
