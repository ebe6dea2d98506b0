#include "postfleet/ingest/connection_limits.hpp"

#include "postfleet/base/require.hpp"

namespace postfleet::ingest {

ConnectionLimits::Stripe& ConnectionLimits::stripe_of(const IpAddress& client) {
    std::size_t hash = 0;
    for (const std::uint8_t octet : client.octets) hash = hash * 31 + octet;
    return stripes_[hash % kStripes];
}

bool ConnectionLimits::take_one_of(std::uint32_t cap) {
    std::uint32_t held = total_.load(std::memory_order_relaxed);
    do {
        if (held >= cap) return false;
    } while (!total_.compare_exchange_weak(held, held + 1, std::memory_order_relaxed));
    return true;
}

ConnectionLimits::Verdict ConnectionLimits::enter(const IpAddress& client, Caps caps) {
    if (!take_one_of(caps.total)) return Verdict::TooMany;
    Stripe& stripe = stripe_of(client);
    {
        const std::lock_guard lock(stripe.mutex);
        std::uint32_t& held = stripe.connections[client];
        if (held < caps.per_client) {
            ++held;
            return Verdict::Entered;
        }
        if (held == 0) stripe.connections.erase(client);
    }
    total_.fetch_sub(1, std::memory_order_relaxed);
    return Verdict::TooManyOfClient;
}

void ConnectionLimits::leave(const IpAddress& client) {
    Stripe& stripe = stripe_of(client);
    {
        const std::lock_guard lock(stripe.mutex);
        const auto held = stripe.connections.find(client);
        require(held != stripe.connections.end());
        if (--held->second == 0) stripe.connections.erase(held);
    }
    total_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace postfleet::ingest
