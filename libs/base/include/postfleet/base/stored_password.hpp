// StoredPassword: what is kept of a password, in the forms that others use too.
//
//   $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>              PHC string; base64 without padding
//   SCRAM-SHA-256$<iterations>:<salt>$<stored>:<server>       as PostgreSQL has it; base64
//
// A text has one form or both, each on a line of its own; empty lines and those with # do not count. argon2id
// serves PLAIN and LOGIN; SCRAM keys serve SCRAM, and PLAIN and LOGIN where there is nothing else. Costs are
// bounded when parsed, so that no stored text can make a check run for minutes.
//
// ScramKeys::derive: RFC 5802 §3. Passwords are taken octet by octet, without SASLprep: for printable ASCII
// that is the same thing, and others are not for SCRAM (libs/sasl/README.md).
//
// Threads: value types. Errors name the form and the field, never their content.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet {

struct Argon2idHash {
    static constexpr std::uint32_t kMaxMemoryKibibytes = 256 * 1024;
    static constexpr std::uint32_t kMaxPasses = 32;
    static constexpr std::uint32_t kMaxLanes = 16;

    std::uint32_t memory_kibibytes = 0;
    std::uint32_t passes = 0;
    std::uint32_t lanes = 0;
    std::string salt;  // 8 to 64 octets
    std::string hash;  // 16 to 64 octets

    static Result<Argon2idHash> parse(std::string_view text);
    std::string to_string() const;
    friend bool operator==(const Argon2idHash&, const Argon2idHash&) = default;
};

struct ScramKeys {
    static constexpr std::uint32_t kMinIterations = 4096;  // RFC 7677 §4
    static constexpr std::uint32_t kMaxIterations = 10'000'000;

    std::uint32_t iterations = 0;
    std::string salt;  // 8 to 64 octets
    Sha256Digest stored_key{};
    Sha256Digest server_key{};

    static ScramKeys derive(const Digests& digests, std::string_view password, std::string salt,
                            std::uint32_t iterations);
    static Result<ScramKeys> parse(std::string_view text);
    std::string to_string() const;
    friend bool operator==(const ScramKeys&, const ScramKeys&) = default;
};

struct StoredPassword {
    std::optional<Argon2idHash> argon2id;
    std::optional<ScramKeys> scram;

    static Result<StoredPassword> parse(std::string_view text);
    std::string to_string() const;
    friend bool operator==(const StoredPassword&, const StoredPassword&) = default;
};

// What a check came to. Busy: it was not made; trying later may help.
enum class PasswordVerdict : std::uint8_t { Match, NoMatch, Busy };

}  // namespace postfleet
