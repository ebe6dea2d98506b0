// ConnectionLimits: how many connections one listener holds, in total and per client (the first address of its network). Exact, over
// all shards: a connection counts from enter() to leave(), which the caller makes when its socket is closed.
//
// Threads: thread-safe; an uncontended lock for the client's stripe, one atomic word for the total.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "postfleet/base/network.hpp"

namespace postfleet::ingest {

class ConnectionLimits final {
public:
    struct Caps {
        std::uint32_t total = 0;
        std::uint32_t per_client = 0;
    };
    enum class Verdict : std::uint8_t { Entered, TooMany, TooManyOfClient };

    Verdict enter(const IpAddress& client, Caps caps);
    void leave(const IpAddress& client);
    std::uint32_t connections() const { return total_.load(std::memory_order_relaxed); }

private:
    static constexpr std::size_t kStripes = 16;
    struct alignas(64) Stripe {
        std::mutex mutex;
        std::map<IpAddress, std::uint32_t> connections;
    };
    Stripe& stripe_of(const IpAddress& client);
    bool take_one_of(std::uint32_t cap);

    std::atomic<std::uint32_t> total_{0};
    std::array<Stripe, kStripes> stripes_;
};

}  // namespace postfleet::ingest
