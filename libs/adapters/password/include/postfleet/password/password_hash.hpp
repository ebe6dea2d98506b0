// hash_password, check_password: the stored forms of a password (RFC 9106, RFC 5802). Slow on purpose.
//
// Threads: pure but for the salts, which come from the operating system; blocking: some 25 ms of CPU and the
// memory of HashCost for argon2id, 0.3 ms per 1000 iterations for SCRAM. Not on a shard.
#pragma once

#include <cstdint>
#include <string_view>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/stored_password.hpp"

namespace postfleet::password {

struct HashCost {
    std::uint32_t memory_kibibytes = 19 * 1024;
    std::uint32_t passes = 2;
    std::uint32_t lanes = 1;
    // The client pays for these, at every login; the server only for PLAIN of users that have nothing else.
    std::uint32_t scram_iterations = 16'384;
};

// Both forms with fresh salts; only argon2id if the password is not printable ASCII, because clients may then
// disagree about its octets (libs/sasl/README.md). Errors: InvalidArgument: empty, longer than 1024 octets, with a
// NUL, or a cost out of bounds; ResourceExhausted: no memory.
Result<StoredPassword> hash_password(const Digests& digests, std::string_view password, const HashCost& cost = {});

// By argon2id if that is there, else by the SCRAM keys. Busy: no memory for the check.
PasswordVerdict check_password(const Digests& digests, const StoredPassword& stored, std::string_view password);

// A stored form of that cost that no password matches, made without the work.
StoredPassword make_decoy(const HashCost& cost);

}  // namespace postfleet::password
