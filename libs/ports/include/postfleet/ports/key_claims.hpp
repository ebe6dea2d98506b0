// KeyClaims (port): who submits twice under one idempotency key sends once.
//
//   claim    a new key belongs to the message id offered; a known one says which id it has, and how far it came
//   confirm  the message of this key was made durable; its key is kept for its window from then on
//   release  it was refused: the key is free again, unless it was confirmed, or claimed a second time: then somebody may
//            have made its message durable, and whoever comes with it goes on with its id
//
//   New ──confirm──▶ Done        Pending: claimed, and nobody knows whether its message was made durable (its ingest
//    └──▶ Pending ──confirm──▶   died): the submission goes on with the id that the key has, so that the sender, which
//                                knows the ids that it has taken, drops the second copy
//
// A claim is durable before its completion says so. Keys are a tenant's own. They are forgotten after their window,
// counted from the last claim or confirm.
//
// Threads: thread-safe. Never blocks: completions run on the executor named.
// Errors: ResourceExhausted (too many wait), Unavailable (the store or the router is away).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/id.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet {

struct IdempotencyKey {
    std::string tenant;
    std::string key;  // at most 255 octets
    friend auto operator<=>(const IdempotencyKey&, const IdempotencyKey&) = default;
};

struct KeyClaim {
    IdempotencyKey key;
    MessageId message;
    Duration window = std::chrono::hours(24);
};

enum class KeyState : std::uint8_t { New, Pending, Done };

struct KeyVerdict {
    KeyState state = KeyState::New;
    MessageId message;  // that the key has
};

class KeyClaims {
public:
    virtual ~KeyClaims() = default;
    // As many verdicts, in the same order.
    virtual void claim(std::vector<KeyClaim> claims, Completion<Result<std::vector<KeyVerdict>>> done) = 0;
    virtual void confirm(std::vector<IdempotencyKey> keys, Completion<Status> done) = 0;
    virtual void release(std::vector<IdempotencyKey> keys, Completion<Status> done) = 0;
};

}  // namespace postfleet
