#include "postfleet/password/password_hash.hpp"

#include <argon2.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "postfleet/base/require.hpp"
#include "postfleet/base/secret.hpp"

namespace postfleet::password {

namespace {

constexpr std::size_t kSaltOctets = 16;
constexpr std::size_t kHashOctets = 32;
constexpr std::size_t kMaxPasswordOctets = 1024;

std::string random_octets(std::size_t count) {
    std::string octets(count, '\0');
    // Up to 256 octets come whole (getrandom(2)); before the kernel has randomness the call waits.
    while (::getrandom(octets.data(), octets.size(), 0) != static_cast<ssize_t>(count)) require(errno == EINTR);
    return octets;
}

std::uint8_t* to_octets(std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
}

// The hash of `password` by the costs and the salt in `form`; nothing when there is no memory for it.
std::optional<std::string> argon2id(const Argon2idHash& form, std::string_view password, std::size_t size) {
    std::string hash(size, '\0');
    argon2_context context{};
    context.out = to_octets(hash);
    context.outlen = static_cast<std::uint32_t>(hash.size());
    // Not wiped: ARGON2_FLAG_CLEAR_PASSWORD is off, the caller's octets stay as they are.
    context.pwd = to_octets(password);
    context.pwdlen = static_cast<std::uint32_t>(password.size());
    context.salt = to_octets(form.salt);
    context.saltlen = static_cast<std::uint32_t>(form.salt.size());
    context.t_cost = form.passes;
    context.m_cost = form.memory_kibibytes;
    context.lanes = form.lanes;
    context.threads = 1;  // lanes one after the other: the pool decides how many cores hashing may take
    context.version = ARGON2_VERSION_13;
    const int result = ::argon2id_ctx(&context);
    if (result == ARGON2_MEMORY_ALLOCATION_ERROR) return std::nullopt;
    require(result == ARGON2_OK);  // all bounds were checked before
    return hash;
}

bool is_printable_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::string_view problem_of(std::string_view password) {
    if (password.empty()) return "a password must not be empty";
    if (password.size() > kMaxPasswordOctets) return "a password must not be longer than 1024 octets";
    if (password.find('\0') != std::string_view::npos) return "a password must not contain a NUL octet";
    return {};
}

}  // namespace

Result<StoredPassword> hash_password(const Digests& digests, std::string_view password, const HashCost& cost) {
    if (const std::string_view problem = problem_of(password); !problem.empty()) {
        return Error{ErrorKind::InvalidArgument, std::string(problem)};
    }
    StoredPassword stored;
    stored.argon2id = Argon2idHash{cost.memory_kibibytes, cost.passes, cost.lanes, random_octets(kSaltOctets),
                                   std::string(kHashOctets, '\0')};
    if (is_printable_ascii(password)) {
        stored.scram = ScramKeys{cost.scram_iterations, random_octets(kSaltOctets), {}, {}};
    }
    // The parser knows the bounds.
    if (Result<StoredPassword> checked = StoredPassword::parse(stored.to_string()); !checked) return checked.error();
    std::optional<std::string> hash = argon2id(*stored.argon2id, password, kHashOctets);
    if (!hash) {
        return Error{ErrorKind::ResourceExhausted,
                     fmt::format("no memory for a hash that takes {} KiB", cost.memory_kibibytes)};
    }
    stored.argon2id->hash = std::move(*hash);
    if (stored.scram) {
        stored.scram = ScramKeys::derive(digests, password, std::move(stored.scram->salt), cost.scram_iterations);
    }
    return stored;
}

PasswordVerdict check_password(const Digests& digests, const StoredPassword& stored, std::string_view password) {
    require(stored.argon2id || stored.scram);
    if (!problem_of(password).empty()) return PasswordVerdict::NoMatch;
    bool matches = false;
    if (stored.argon2id) {
        std::optional<std::string> hash = argon2id(*stored.argon2id, password, stored.argon2id->hash.size());
        if (!hash) return PasswordVerdict::Busy;
        matches = constant_time_equals(*hash, stored.argon2id->hash);
    } else {
        ScramKeys keys = ScramKeys::derive(digests, password, stored.scram->salt, stored.scram->iterations);
        matches = constant_time_equals(octets_of(keys.stored_key), octets_of(stored.scram->stored_key));
    }
    return matches ? PasswordVerdict::Match : PasswordVerdict::NoMatch;
}

StoredPassword make_decoy(const HashCost& cost) {
    StoredPassword stored;
    stored.argon2id = Argon2idHash{cost.memory_kibibytes, cost.passes, cost.lanes, random_octets(kSaltOctets),
                                   random_octets(kHashOctets)};
    require(StoredPassword::parse(stored.to_string()).has_value());
    return stored;
}

}  // namespace postfleet::password
