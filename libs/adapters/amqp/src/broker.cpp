#include "postfleet/amqp/broker.hpp"

#include "consumer.hpp"
#include "postfleet/base/require.hpp"
#include "publisher.hpp"

namespace postfleet::amqp {

struct Broker::Shared {
    explicit Shared(BrokerOptions given)
        : options(std::move(given)), declarations(options.topology), watch(options.stall_timeout) {
        require(!options.access.url.hosts.empty());
    }

    Counter& counter(const char* name, const char* help, const char* label, const std::string& value) {
        Metrics& metrics = options.metrics != nullptr ? *options.metrics : unread;
        return metrics.counter(std::string("postfleet_broker_") + name, help, {{label, value}});
    }

    Metrics unread;  // where nobody looks
    const BrokerOptions options;
    Declarations declarations;
    StallWatch watch;
    const WorkerParts parts{options, declarations, watch};
};

Broker::Broker(BrokerOptions options) : shared_(std::make_unique<Shared>(std::move(options))) {}
Broker::~Broker() = default;

void Broker::declare(const wire::BrokerTopology& more) { shared_->declarations.add(more); }

std::unique_ptr<BrokerPublisher> Broker::publisher(PublisherOptions options) {
    const auto count = [&](const char* name, const char* help) -> Counter& {
        return shared_->counter(name, help, "publisher", options.name);
    };
    const PublisherCounters counters{
        count("published_total", "Messages sent to the broker."),
        count("confirmed_total", "Messages that the broker has confirmed."),
        count("returned_total", "Messages that came back because no queue is bound there."),
        count("refused_total", "Refusals (nacks) of the broker: a queue is full, or has failed."),
        count("unknown_total", "Messages whose confirm has not come; they are published again."),
    };
    return std::make_unique<Publisher>(shared_->parts, std::move(options), counters);
}

std::unique_ptr<BrokerConsumer> Broker::consumer(BrokerConsumerOptions options) {
    const auto count = [&](const char* name, const char* help) -> Counter& {
        return shared_->counter(name, help, "queue", options.queue);
    };
    const ConsumerCounters counters{
        count("delivered_total", "Messages that the broker gave us."),
        count("redelivered_total", "Of these, messages that were given out before."),
        count("acknowledgements_total", "Acknowledgements sent; one may stand for many messages."),
        count("requeued_total", "Messages given back to be given out again."),
        count("rejected_total", "Messages refused for good, to the queue's dead-letter exchange."),
        count("stuck_total", "Connections given up because the broker gave out nothing although messages waited."),
    };
    return std::make_unique<Consumer>(shared_->parts, std::move(options), counters);
}

}  // namespace postfleet::amqp
