// SigningKey (port): a private key that signs digests, and never shows itself.
//
// RSA signs as PKCS #1 v1.5 over the SHA-256 digest (RFC 8017 §8.2); Ed25519 signs the digest's octets as its message
// (RFC 8463 §3). public_octets() is what a DKIM key record publishes: SubjectPublicKeyInfo in DER of RSA, the 32 octets
// of Ed25519.
//
// Threads: immutable, thread-safe. sign() computes: about a quarter of a millisecond for RSA of 2048 bits. Not on a
// shard. Errors: signing failed, in the words of the library behind it.
#pragma once

#include <string>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet {

class SigningKey {
public:
    enum class Type { Rsa, Ed25519 };
    virtual ~SigningKey() = default;
    virtual Type type() const = 0;
    virtual unsigned bits() const = 0;
    virtual std::string public_octets() const = 0;
    virtual Result<std::string> sign(const Sha256Digest& digest) const = 0;
};

}  // namespace postfleet
