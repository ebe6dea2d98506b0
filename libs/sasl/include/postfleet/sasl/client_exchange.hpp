// ClientExchange: the client's side of AUTH PLAIN and AUTH LOGIN (RFC 4616, RFC 4954), for smart hosts.
//
// Sans-IO: initial_response() goes behind the mechanism's name, answer() behind each 334. The credentials are
// borrowed and outlive the exchange. Only over TLS that was verified: that is the caller's to see to.
// Threads: confined. Errors: a challenge too many, which ends it with "*".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/sasl/mechanism.hpp"

namespace postfleet::sasl {

struct ClientCredentials {
    std::string_view user;
    std::string_view password;
};

class ClientExchange final {
public:
    // Of the server's list, in its order, the one that we speak and that costs the fewest rounds; PLAIN before LOGIN.
    static std::optional<Mechanism> choose(const std::vector<std::string_view>& offered);

    // A mechanism that is neither PLAIN nor LOGIN is a bug.
    ClientExchange(Mechanism mechanism, const ClientCredentials& credentials);

    // Base64, PLAIN only: LOGIN servers do not all take one.
    std::optional<std::string> initial_response();
    // The line to send; "*" when the server asks for more than the mechanism has.
    std::string answer();

private:
    const Mechanism mechanism_;
    const ClientCredentials credentials_;
    int answers_ = 0;
};

}  // namespace postfleet::sasl
