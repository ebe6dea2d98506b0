#include "postfleet/sasl/mechanism.hpp"

#include <array>

#include "postfleet/base/text.hpp"

namespace postfleet::sasl {

std::string_view to_string(Mechanism mechanism) {
    switch (mechanism) {
        case Mechanism::Plain: return "PLAIN";
        case Mechanism::Login: return "LOGIN";
        case Mechanism::ScramSha256: return "SCRAM-SHA-256";
        case Mechanism::ScramSha256Plus: return "SCRAM-SHA-256-PLUS";
    }
    return "";
}

std::optional<Mechanism> parse_mechanism(std::string_view name) {
    constexpr std::array kAll{Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus};
    for (const Mechanism mechanism : kAll) {
        if (ascii_iequals(name, to_string(mechanism))) return mechanism;
    }
    return std::nullopt;
}

}  // namespace postfleet::sasl
