// Digests: the hash functions that domain code needs and must not compute itself (FIPS 180-4, RFC 2104, RFC 8018).
//
// Implemented over OpenSSL by adapters/crypto. Here because domain libraries and adapters both speak of it.
// Threads: immutable, thread-safe. Errors: none; an implementation that cannot compute is a bug.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

namespace postfleet {

using Sha256Digest = std::array<std::uint8_t, 32>;

inline std::string_view octets_of(const Sha256Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// A hash over octets that come in pieces. Confined. After finish() it is used up.
class RunningSha256 {
public:
    virtual ~RunningSha256() = default;
    virtual void add(std::string_view octets) = 0;
    virtual Sha256Digest finish() = 0;
};

class Digests {
public:
    virtual ~Digests() = default;
    virtual Sha256Digest sha256(std::string_view octets) const = 0;
    virtual std::unique_ptr<RunningSha256> start_sha256() const = 0;
    virtual Sha256Digest hmac_sha256(std::string_view key, std::string_view octets) const = 0;
    // Slow by design: about 0.3 ms for 1000 iterations. Not on a shard.
    virtual Sha256Digest pbkdf2_hmac_sha256(std::string_view password, std::string_view salt,
                                            std::uint32_t iterations) const = 0;
};

}  // namespace postfleet
