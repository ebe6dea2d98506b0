#include "postfleet/ingest/auth_guard.hpp"

namespace postfleet::ingest {

bool AuthGuard::must_wait(const IpAddress& client, SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    return networks_.wait(throttle::network_key(client), now) > Duration::zero();
}

bool AuthGuard::must_wait(std::string_view user, const IpAddress& client, SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    return accounts_.wait(throttle::account_key(user, client), now) > Duration::zero();
}

void AuthGuard::failed(std::string_view user, const IpAddress& client, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    accounts_.fail(throttle::account_key(user, client), now);
    networks_.fail(throttle::network_key(client), now);
}

void AuthGuard::succeeded(std::string_view user, const IpAddress& client) {
    const std::lock_guard lock(mutex_);
    accounts_.succeed(throttle::account_key(user, client));
}

}  // namespace postfleet::ingest
