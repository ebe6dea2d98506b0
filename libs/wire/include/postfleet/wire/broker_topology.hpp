// BrokerTopology: what a service declares on the broker before it uses it; the same for every service, so that whoever
// comes first makes it and the others find it (RMQ-15, RMQ-19, RMQ-20).
//
// Exchanges are durable. Queues are durable quorum queues whose arguments are all written out, because the defaults
// differ between RabbitMQ 3.10 and 4.x: leaders are spread, a queue that is full refuses (or drops its oldest message,
// where that is said), a message that comes back too often or is rejected goes to the dead-letter exchange, which gets
// it at least once.
//
// Threads: values and pure functions. Units: octets of bodies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postfleet::wire {

enum class WhenFull : std::uint8_t { Refuse, DropOldest };

struct BrokerExchange {
    enum class Kind : std::uint8_t { Direct, Fanout, Topic };
    std::string name;
    Kind kind = Kind::Direct;
    friend bool operator==(const BrokerExchange&, const BrokerExchange&) = default;
};

struct BrokerQueue {
    std::string name;
    std::uint64_t most_octets = 0;     // never 0
    std::uint32_t delivery_limit = 0;  // how often a message may come back; never 0
    WhenFull when_full = WhenFull::Refuse;
    std::string dead_letter_exchange{};  // empty: none; what is rejected goes away
    friend bool operator==(const BrokerQueue&, const BrokerQueue&) = default;
};

struct BrokerBinding {
    std::string exchange, routing_key, queue;
    friend bool operator==(const BrokerBinding&, const BrokerBinding&) = default;
};

struct BrokerTopology {
    std::vector<BrokerExchange> exchanges;
    std::vector<BrokerQueue> queues;
    std::vector<BrokerBinding> bindings;
    BrokerTopology& operator+=(const BrokerTopology& more);  // what is there already is not added again
    friend bool operator==(const BrokerTopology&, const BrokerTopology&) = default;
};

// How large the queues may become. A broker refuses beyond these; its disk has to have room for them.
struct BrokerLimits {
    std::uint64_t submit = 10ull << 30;
    std::uint64_t deliver = 10ull << 30;  // of each of a sender's three queues
    std::uint64_t sink = 10ull << 30;     // of each report sink
    std::uint64_t rejected = 1ull << 30;
};

// Where applications put mail; what cannot be mail goes to kRejectedQueue.
BrokerTopology submit_topology(const BrokerLimits& limits = {});
// The queues of a sender. Mail is not given up lightly: only what made its sender crash many times is put aside.
BrokerTopology deliver_topology(std::string_view sender, const BrokerLimits& limits = {});
// One queue per sink, each with a routing key of its own: a full one refuses what is for it alone.
BrokerTopology events_topology(const std::vector<std::string>& sinks, const BrokerLimits& limits = {});
// What applications read: a topic exchange, and a queue that gets everything, with the limits of its sink. Without a
// name there is no queue; applications bind their own.
BrokerTopology reports_topology(std::string_view exchange, std::string_view queue, std::uint64_t most_octets,
                                WhenFull when_full);

}  // namespace postfleet::wire
