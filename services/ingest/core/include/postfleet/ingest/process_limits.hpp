// ProcessLimits: what all listeners of the process share: places for connections and TLS handshakes, memory for content that is being
// received, and what of the rates is used up. ArrivalMeters: the same rates of one listener.
//
// Threads: thread-safe, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "postfleet/throttle/places.hpp"
#include "postfleet/throttle/rate_meter.hpp"

namespace postfleet::ingest {

// What arrives, and is counted. Also the meters of a client (MeterTable).
enum class Arrival : std::uint8_t { Connection, Message, Recipient, Error };

struct ArrivalMeters {
    throttle::RateMeter connections, messages, recipients;
};

// Octets in use, up to a limit that comes with every call. Growing is refused, shrinking never is.
class ContentMemory final {
public:
    bool resize(std::size_t from, std::size_t to, std::uint64_t limit);
    std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
    // New messages are refused from here on, so that those under way can be finished.
    bool is_nearly_full(std::uint64_t limit) const { return used() > limit / 4 * 3; }

private:
    std::atomic<std::uint64_t> used_{0};
};

struct ProcessLimits {
    std::atomic<std::uint32_t> max_connections{UINT32_MAX};  // what is in force now
    throttle::Places connections;
    throttle::Places handshakes;  // of TLS, under way
    ContentMemory content;
    ArrivalMeters arrivals;

    bool is_nearly_full() const {
        const std::uint32_t most = max_connections.load(std::memory_order_relaxed);
        return connections.taken() >= most - most / 16;
    }
};

}  // namespace postfleet::ingest
