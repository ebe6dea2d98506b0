// ClientExchange: the client's side of AUTH PLAIN and AUTH LOGIN (RFC 4616, RFC 4954), for smart hosts.
//
// Sans-IO: initial_response() goes behind the mechanism's name, answer() behind each 334. The credentials are
// borrowed and outlive the exchange. Only over TLS that was verified: that is the caller's to see to.
// Threads: confined. Errors: a challenge too many, which ends it with "*".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postfleet/sasl/mechanism.hpp"

namespace postfleet::sasl {

struct ClientCredentials {
    std::string_view user;
    std::string_view password;
};

class ClientExchange final {
public:
    // A mechanism that is neither PLAIN nor LOGIN is a bug.
    ClientExchange(Mechanism mechanism, const ClientCredentials& credentials);

    // Base64, PLAIN only: LOGIN servers do not all take one. None when it would make the command line too long
    // (RFC 4954 §4); it is the first answer() then.
    std::optional<std::string> initial_response();
    // The line to send; "*" when the server asks for more than the mechanism has.
    std::string answer();

private:
    const Mechanism mechanism_;
    const ClientCredentials credentials_;
    int answers_ = 0;
};

}  // namespace postfleet::sasl
