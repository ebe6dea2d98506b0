// Broker (port): a message broker as Postfleet uses it: publishing with confirms, consuming with acknowledgements.
//
// BrokerPublisher::publish() completes with ok only when the broker has confirmed that a queue holds the message
// durably. Messages of one thread reach the broker in the order of the calls; confirms come in any order.
//   InvalidArgument    it can never be published: too large, a name too long, no message_id
//   NotFound           it came back: no queue is bound there
//   ResourceExhausted  more waits to be sent or confirmed than the publisher's limit: nothing sent
//   Unavailable        not connected, blocked by the broker's alarm, or the broker refused (nack), as a queue that is
//                      full does: not there
//   DeadlineExceeded   sent, but the confirm has not come: unknown; publish again with the same message_id
//
// BrokerConsumer hands out deliveries, at most `most_unsettled` and about `most_octets` of them unsettled; who has
// settled is given more. settle() of a delivery whose connection has gone does nothing: the broker gives it out again.
// `lost` tells of that, after the deliveries that are gone and before the first new one, so that who holds some can
// forget them and not do their work twice. The connection is made anew by itself, with growing pauses.
// What is given back (requeued, or unsettled when the connection goes) counts against the queue's delivery limit: so
// pause() does not give back what is on its way already.
//
// Threads: thread-safe; nothing blocks. Completions and deliveries run on the executor named. A consumer delivers
// nothing any more once stop() has completed.
// Implementations: libs/adapters/amqp (RabbitMQ), tests/support/fake_broker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet {

// A header with several values occurs several times; numbers and booleans are their texts.
// Which name comes first is not kept.
using BrokerHeaders = std::vector<std::pair<std::string, std::string>>;

struct BrokerMessage {
    SharedOctets body;  // never null
    std::string content_type, content_encoding, message_id, type, correlation_id, reply_to;
    BrokerHeaders headers;
    std::uint8_t priority = 0;
};

struct BrokerAddress {
    std::string exchange;  // empty: the default one, whose keys are queues
    std::string routing_key;
};

class BrokerPublisher {
public:
    virtual ~BrokerPublisher() = default;
    virtual void publish(BrokerAddress to, BrokerMessage message, Completion<Status> done) = 0;
    // Why nothing can be published just now, for people and readiness; empty: it can.
    virtual std::string obstacle() const = 0;
};

struct BrokerDelivery {
    std::uint64_t tag = 0;  // of this consumer, never used twice
    BrokerMessage message;
    BrokerAddress from;                // where it was published to
    std::uint32_t delivery_count = 0;  // earlier deliveries that were not settled, as far as the broker counts them
    bool is_redelivered = false;
    std::string user_id;  // who published it, where the broker vouches for that
};

enum class BrokerVerdict : std::uint8_t {
    Ack,      // done with: the next hop has it durably
    Requeue,  // give it out again
    Reject,   // to the queue's dead-letter exchange, if it has one
};

struct BrokerConsumerOptions {
    std::string queue;
    std::string name;  // the consumer tag's beginning, for those who look at the broker
    std::uint32_t most_unsettled = 200;
    std::uint64_t most_octets = 16u << 20;
    Executor* on = nullptr;
    UniqueFunction<void(BrokerDelivery&&)> deliver;
    Callback lost;  // everything that was given out and is not settled; may be empty
};

class BrokerConsumer {
public:
    virtual ~BrokerConsumer() = default;
    virtual void settle(std::uint64_t tag, BrokerVerdict verdict) = 0;
    // Asks for no more; what is on its way, up to most_unsettled, still comes. Goes on after resume().
    virtual void pause() = 0;
    virtual void resume() = 0;
    // What was settled before is acknowledged; what was not is given out again by the broker, to others.
    virtual void stop(Completion<Status> done) = 0;
    virtual std::string obstacle() const = 0;
};

}  // namespace postfleet
