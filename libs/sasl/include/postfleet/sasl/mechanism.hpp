// Mechanism: the ways to authenticate that we know (RFC 4616, RFC 5802, RFC 7677; LOGIN is older than its drafts).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace postfleet::sasl {

enum class Mechanism : std::uint8_t { Plain, Login, ScramSha256, ScramSha256Plus };

std::string_view to_string(Mechanism mechanism);  // "SCRAM-SHA-256-PLUS"
// As it stands in an AUTH command; letters may be small.
std::optional<Mechanism> parse_mechanism(std::string_view name);

inline bool is_scram(Mechanism mechanism) {
    return mechanism == Mechanism::ScramSha256 || mechanism == Mechanism::ScramSha256Plus;
}

}  // namespace postfleet::sasl
