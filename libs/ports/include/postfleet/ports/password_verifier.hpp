// PasswordVerifier (port): whether a password is the stored one, without holding up a shard.
//
// Every implementation promises:
//  * `stored` may be null (there is no such user): the work is that of a real check, the verdict NoMatch.
//  * the number of checks at work and waiting is bounded; beyond it the verdict is Busy, at once.
//  * the completion runs exactly once, on the executor that it names, never inside the call.
//  * nothing of the password is kept, logged or left in memory.
//
// Threads: thread-safe. Never blocks.
#pragma once

#include <memory>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/secret.hpp"
#include "postfleet/base/stored_password.hpp"

namespace postfleet {

class PasswordVerifier {
public:
    virtual ~PasswordVerifier() = default;
    // shared_ptr because a reload may drop the user while the check runs.
    virtual void verify(std::shared_ptr<const StoredPassword> stored, Secret password,
                        Completion<PasswordVerdict> done) = 0;
};

}  // namespace postfleet
