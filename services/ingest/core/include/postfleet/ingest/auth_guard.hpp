// AuthGuard, AuthServices: what all logins of a process share: the password checks and who has to wait.
//
// The guard counts failures per account and network, and per network (libs/throttle/README.md says why these two):
// the account as seen from one network waits after a few, the network after many.
//
// Threads: thread-safe; the lock is held for a look-up.
#pragma once

#include <mutex>
#include <string_view>

#include "postfleet/base/network.hpp"
#include "postfleet/ports/password_verifier.hpp"
#include "postfleet/sasl/server_exchange.hpp"
#include "postfleet/throttle/backoff_table.hpp"

namespace postfleet::ingest {

class AuthGuard final {
public:
    bool must_wait(const IpAddress& client, SteadyTime now) const;
    bool must_wait(std::string_view user, const IpAddress& client, SteadyTime now) const;
    void failed(std::string_view user, const IpAddress& client, SteadyTime now);
    void succeeded(std::string_view user, const IpAddress& client);

private:
    static constexpr std::uint32_t kFreeFailuresOfNetwork = 50;

    mutable std::mutex mutex_;
    throttle::BackoffTable accounts_{{}};
    throttle::BackoffTable networks_{{.free_failures = kFreeFailuresOfNetwork}};
};

struct AuthServices {
    PasswordVerifier& verifier;
    sasl::ServerRules rules;
    AuthGuard guard;
};

}  // namespace postfleet::ingest
