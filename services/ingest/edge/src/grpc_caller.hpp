// What a gRPC caller shows of itself, read: its password, its certificate.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/digests.hpp"

namespace postfleet::ingest {

// "Basic <Base64 of user:password>" (RFC 7617) as the response of SASL PLAIN (RFC 4616). nullopt: it is something else.
std::optional<std::string> plain_response_of(std::string_view authorization);

// The first certificate of a PEM text in DER. nullopt: there is none.
std::optional<std::string> octets_of_pem(std::string_view pem);

std::string to_hex(const Sha256Digest& digest);

}  // namespace postfleet::ingest
