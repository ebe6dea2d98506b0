#include "postfleet/sasl/client_exchange.hpp"

#include "postfleet/base/base64.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/base/secret.hpp"

namespace postfleet::sasl {

ClientExchange::ClientExchange(Mechanism mechanism, const ClientCredentials& credentials)
    : mechanism_(mechanism), credentials_(credentials) {
    require(mechanism == Mechanism::Plain || mechanism == Mechanism::Login);
}

std::optional<std::string> ClientExchange::initial_response() {
    constexpr std::size_t kMostOctets = 512 - std::string_view("AUTH PLAIN \r\n").size();
    const std::size_t octets = credentials_.user.size() + credentials_.password.size() + 2;
    if (mechanism_ != Mechanism::Plain || (octets + 2) / 3 * 4 > kMostOctets) return std::nullopt;
    return answer();
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
