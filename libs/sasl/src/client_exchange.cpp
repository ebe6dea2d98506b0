#include "postfleet/sasl/client_exchange.hpp"

#include <algorithm>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/base/secret.hpp"

namespace postfleet::sasl {

std::optional<Mechanism> ClientExchange::choose(const std::vector<std::string_view>& offered) {
    for (const Mechanism mechanism : {Mechanism::Plain, Mechanism::Login}) {
        const auto is_it = [&](std::string_view name) { return parse_mechanism(name) == mechanism; };
        if (std::any_of(offered.begin(), offered.end(), is_it)) return mechanism;
    }
    return std::nullopt;
}

ClientExchange::ClientExchange(Mechanism mechanism, const ClientCredentials& credentials)
    : mechanism_(mechanism), credentials_(credentials) {
    require(mechanism == Mechanism::Plain || mechanism == Mechanism::Login);
}

std::optional<std::string> ClientExchange::initial_response() {
    if (mechanism_ == Mechanism::Plain) return answer();
    return std::nullopt;
}

std::string ClientExchange::answer() {
    const int number = answers_++;
    if (mechanism_ == Mechanism::Login) {
        if (number == 0) return base64_encode(credentials_.user);
        return number == 1 ? base64_encode(credentials_.password) : "*";
    }
    if (number > 0) return "*";
    std::string message;
    message.reserve(credentials_.user.size() + credentials_.password.size() + 2);
    message += '\0';
    message += credentials_.user;
    message += '\0';
    message += credentials_.password;
    const std::string encoded = base64_encode(message);
    wipe(message);
    return encoded;
}

}  // namespace postfleet::sasl
