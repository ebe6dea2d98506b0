// The client's two SCRAM messages, parsed (RFC 5802 §7).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postfleet::sasl {

// Views into the message, except the names, which are decoded.
struct ClientFirst {
    std::string_view binding_flag;   // "n", "y" or "p=NAME"
    std::string_view gs2_header;     // with both commas
    std::string authorization_name;  // empty: none
    std::string user;
    std::string_view nonce;
    std::string_view bare;  // without the GS2 header
};
std::optional<ClientFirst> parse_client_first(std::string_view message);

struct ClientFinal {
    std::string_view binding;  // c=, still base64
    std::string_view nonce;
    std::string_view proof;  // p=, still base64
    std::string_view without_proof;
};
std::optional<ClientFinal> parse_client_final(std::string_view message);

}  // namespace postfleet::sasl
