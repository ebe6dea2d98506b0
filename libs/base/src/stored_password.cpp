#include "postfleet/base/stored_password.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/secret.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet {

namespace {

constexpr std::string_view kArgon2id = "$argon2id$";
constexpr std::string_view kScram = "SCRAM-SHA-256$";
constexpr std::size_t kMinSaltOctets = 8, kMaxSaltOctets = 64;
constexpr std::size_t kMinHashOctets = 16, kMaxHashOctets = 64;

Error bad(std::string_view form, std::string_view problem) {
    return {ErrorKind::InvalidArgument, fmt::format("stored password ({}): {}", form, problem)};
}

// Digits only, without a leading zero.
std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text[0] == '0'))
        return std::nullopt;
    return value;
}

std::optional<std::uint32_t> number_behind(std::string_view text, std::string_view name) {
    return text.starts_with(name) ? number(text.substr(name.size())) : std::nullopt;
}

bool is_between(std::size_t value, std::size_t least, std::size_t most) { return value >= least && value <= most; }

std::optional<Sha256Digest> digest_of(std::string_view text) {
    const std::optional<std::string> octets = base64_decode(text);
    Sha256Digest digest;
    if (!octets || octets->size() != digest.size()) return std::nullopt;
    std::copy(octets->begin(), octets->end(), digest.begin());
    return digest;
}

}  // namespace

Result<Argon2idHash> Argon2idHash::parse(std::string_view text) {
    constexpr std::string_view kForm = "argon2id";
    if (!text.starts_with(kArgon2id)) return bad(kForm, "does not start with $argon2id$");
    const std::vector<std::string_view> parts = split(text.substr(kArgon2id.size()), '$');
    if (parts.size() != 4) return bad(kForm, "has not four parts: version, costs, salt, hash");
    if (parts[0] != "v=19") return bad(kForm, "the version is not v=19");
    const std::vector<std::string_view> costs = split(parts[1], ',');
    if (costs.size() != 3) return bad(kForm, "the costs are not of the form m=…,t=…,p=…");
    const auto memory = number_behind(costs[0], "m=");
    const auto passes = number_behind(costs[1], "t=");
    const auto lanes = number_behind(costs[2], "p=");
    if (!memory || !passes || !lanes) return bad(kForm, "the costs are not of the form m=…,t=…,p=…");
    if (!is_between(*lanes, 1, kMaxLanes)) return bad(kForm, fmt::format("p is not between 1 and {}", kMaxLanes));
    if (!is_between(*memory, 8 * *lanes, kMaxMemoryKibibytes)) {
        return bad(kForm, fmt::format("m is not between 8 for each of p and {}", kMaxMemoryKibibytes));
    }
    if (!is_between(*passes, 1, kMaxPasses)) return bad(kForm, fmt::format("t is not between 1 and {}", kMaxPasses));
    auto salt = base64_decode(parts[2], Base64Form::Unpadded);
    if (!salt || !is_between(salt->size(), kMinSaltOctets, kMaxSaltOctets))
        return bad(kForm, "the salt is not 8 to 64 octets in base64");
    auto hash = base64_decode(parts[3], Base64Form::Unpadded);
    if (!hash || !is_between(hash->size(), kMinHashOctets, kMaxHashOctets))
        return bad(kForm, "the hash is not 16 to 64 octets in base64");
    return Argon2idHash{*memory, *passes, *lanes, std::move(*salt), std::move(*hash)};
}

std::string Argon2idHash::to_string() const {
    return fmt::format("{}v=19$m={},t={},p={}${}${}", kArgon2id, memory_kibibytes, passes, lanes,
                       base64_encode(salt, Base64Form::Unpadded), base64_encode(hash, Base64Form::Unpadded));
}

ScramKeys ScramKeys::derive(const Digests& digests, std::string_view password, std::string salt,
                            std::uint32_t iterations) {
    Sha256Digest salted = digests.pbkdf2_hmac_sha256(password, salt, iterations);
    Sha256Digest client_key = digests.hmac_sha256(octets_of(salted), "Client Key");
    ScramKeys keys{iterations, std::move(salt), digests.sha256(octets_of(client_key)),
                   digests.hmac_sha256(octets_of(salted), "Server Key")};
    wipe(salted);
    wipe(client_key);
    return keys;
}

Result<ScramKeys> ScramKeys::parse(std::string_view text) {
    constexpr std::string_view kForm = "SCRAM-SHA-256";
    if (!text.starts_with(kScram)) return bad(kForm, "does not start with SCRAM-SHA-256$");
    const std::vector<std::string_view> parts = split(text.substr(kScram.size()), '$');
    if (parts.size() != 2) return bad(kForm, "is not of the form iterations:salt$stored:server");
    const std::vector<std::string_view> cost = split(parts[0], ':');
    const std::vector<std::string_view> keys = split(parts[1], ':');
    if (cost.size() != 2 || keys.size() != 2) return bad(kForm, "is not of the form iterations:salt$stored:server");
    const auto iterations = number(cost[0]);
    if (!iterations || !is_between(*iterations, kMinIterations, kMaxIterations)) {
        return bad(kForm, fmt::format("the iterations are not between {} and {}", kMinIterations, kMaxIterations));
    }
    auto salt = base64_decode(cost[1]);
    if (!salt || !is_between(salt->size(), kMinSaltOctets, kMaxSaltOctets))
        return bad(kForm, "the salt is not 8 to 64 octets in base64");
    const auto stored = digest_of(keys[0]);
    const auto server = digest_of(keys[1]);
    if (!stored || !server) return bad(kForm, "a key is not 32 octets in base64");
    return ScramKeys{*iterations, std::move(*salt), *stored, *server};
}

std::string ScramKeys::to_string() const {
    return fmt::format("{}{}:{}${}:{}", kScram, iterations, base64_encode(salt), base64_encode(octets_of(stored_key)),
                       base64_encode(octets_of(server_key)));
}

Result<StoredPassword> StoredPassword::parse(std::string_view text) {
    StoredPassword stored;
    for (std::string_view line : split(text, '\n')) {
        line = trim(line);
        if (line.empty() || line.front() == '#') continue;
        if (line.starts_with(kArgon2id)) {
            if (stored.argon2id) return bad("argon2id", "there is more than one");
            Result<Argon2idHash> hash = Argon2idHash::parse(line);
            if (!hash) return hash.error();
            stored.argon2id = std::move(*hash);
        } else if (line.starts_with(kScram)) {
            if (stored.scram) return bad("SCRAM-SHA-256", "there is more than one");
            Result<ScramKeys> keys = ScramKeys::parse(line);
            if (!keys) return keys.error();
            stored.scram = std::move(*keys);
        } else {
            // Very likely the password itself: it must not turn up in a log.
            return Error{ErrorKind::InvalidArgument,
                         "stored password: a line is neither $argon2id$… nor SCRAM-SHA-256$…; make one with: postfleet "
                         "hash-password"};
        }
    }
    if (!stored.argon2id && !stored.scram) {
        return Error{ErrorKind::InvalidArgument, "stored password: is empty; make one with: postfleet hash-password"};
    }
    return stored;
}

std::string StoredPassword::to_string() const {
    std::string text;
    if (argon2id) text += argon2id->to_string() + "\n";
    if (scram) text += scram->to_string() + "\n";
    return text;
}

}  // namespace postfleet
