// Broker: publishers and consumers of one RabbitMQ broker or cluster (AMQP 0-9-1), 3.10 and 4.x, by rabbitmq-c.
//
// Each publisher and each consumer has a connection and a thread of its own (RMQ-1). A connection that is lost is made
// again with growing, jittered pauses, to the next host in turn; then the topology is declared before anything else
// (RMQ-15). What is not as declared there already: limits may differ (logged); a queue of another kind, or one that
// loses mail when it is full, is an obstacle until somebody mends it.
//
// A broker that stands still is noticed by its heartbeats (twice `heartbeat`), by a confirm that does not come
// (`confirm_timeout`), and, where the library hangs in a write, by one more thread (`stall_timeout`; RMQ-2, RMQ-3). One
// that lives and gives a consumer nothing is asked what waits in the queue (`stuck_after`; RMQ-21).
//
// Threads: thread-safe; nothing blocks but the destructors, which wait for the threads. Publishers and consumers are
// destroyed before their Broker. Errors: as ports/broker.hpp says; a mistake in the options is found by connecting, and
// is in obstacle().
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "postfleet/base/broker_access.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::amqp {

struct BrokerOptions {
    BrokerAccess access;
    wire::BrokerTopology topology;
    std::string name = "postfleet";  // what administrators see: "postfleet-ingest on mta1"
    Log log;
    Metrics* metrics = nullptr;  // null: counts for nobody
    Duration heartbeat = std::chrono::seconds(15);
    Duration connect_timeout = std::chrono::seconds(5);  // of each step: TCP and TLS, login, a declaration
    Duration confirm_timeout = std::chrono::seconds(30);
    Duration stall_timeout = std::chrono::seconds(15);
    Duration stuck_after = std::chrono::seconds(30);  // of silence in a consumer that has room
    Duration shortest_pause = std::chrono::milliseconds(200);
    Duration longest_pause = std::chrono::seconds(10);
};

struct PublisherOptions {
    std::string name = "publisher";
    std::uint32_t most_unconfirmed = 1'000;           // sent (RMQ-11); more wait
    std::uint32_t most_waiting = 10'000;              // messages
    std::uint64_t most_waiting_octets = 64ull << 20;  // of bodies
    std::uint64_t most_message_octets = 16ull << 20;  // what brokers take by default from 4.0 on
    Duration linger = std::chrono::milliseconds(1);   // a message waits so long for others to go with it
};

class Broker {
public:
    explicit Broker(BrokerOptions options);
    ~Broker();
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;

    // From now on this is declared, too; connections that are up do it within seconds.
    void declare(const wire::BrokerTopology& more);

    std::unique_ptr<BrokerPublisher> publisher(PublisherOptions options = {});
    std::unique_ptr<BrokerConsumer> consumer(BrokerConsumerOptions options);

    struct Shared;

private:
    std::unique_ptr<Shared> shared_;
};

}  // namespace postfleet::amqp
