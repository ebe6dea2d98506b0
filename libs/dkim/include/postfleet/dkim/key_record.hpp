// KeyRecord: the public half of a key as the DNS has it, at SELECTOR._domainkey.DOMAIN (RFC 6376 §3.6.1, RFC 8463 §4).
//
//   v=DKIM1; k=rsa; p=MIIBIjANBg…
//
// compare_key() says whether verifiers will accept what the configured key signs; every problem is one sentence that
// says what to do. Threads: pure functions, values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/dkim/signature.hpp"

namespace postfleet::dkim {

inline constexpr unsigned kLeastRsaBits = 1024;  // RFC 8301 §3.2: shorter ones are refused
inline constexpr unsigned kGoodRsaBits = 2048;

struct PublicKey {
    Algorithm algorithm = Algorithm::RsaSha256;
    unsigned bits = 0;
    std::string octets;  // what p= encodes: SubjectPublicKeyInfo of RSA, the 32 octets of Ed25519
};

struct KeyVerdict {
    enum class Kind { Good, Warning, Bad };
    Kind kind = Kind::Good;
    std::vector<std::string> problems;
};

std::string record_name(std::string_view selector, std::string_view domain);
std::string record_text(const PublicKey& key);
// For a zone file: the text in strings of at most 255 octets.
std::string zone_line(std::string_view selector, std::string_view domain, std::string_view text);

// `records` are the texts found at record_name(); none: the name has no TXT records.
KeyVerdict compare_key(const PublicKey& key, std::span<const std::string> records);

}  // namespace postfleet::dkim
