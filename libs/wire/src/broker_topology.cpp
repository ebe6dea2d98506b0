#include "postfleet/wire/broker_topology.hpp"

#include <algorithm>

#include "postfleet/wire/topology.hpp"

namespace postfleet::wire {

namespace {

// A consumer that dies has all that it was given counted once (RMQ-19). A submission may be what kills its consumer;
// accepted mail has been read before. What is put aside goes nowhere else, however often somebody looks at it.
constexpr std::uint32_t kSubmitDeliveries = 20, kMailDeliveries = 200, kNeverGivenUp = 1'000'000'000;

BrokerTopology rejected_topology(const BrokerLimits& limits) {
    const std::string exchange(kRejectedExchange), queue(kRejectedQueue);
    return {.exchanges = {{exchange, BrokerExchange::Kind::Fanout}},
            .queues = {{.name = queue, .most_octets = limits.rejected, .delivery_limit = kNeverGivenUp}},
            .bindings = {{exchange, "", queue}}};
}

template <class T>
void add_missing(std::vector<T>& to, const std::vector<T>& from) {
    for (const T& item : from) {
        if (std::find(to.begin(), to.end(), item) == to.end()) to.push_back(item);
    }
}

}  // namespace

BrokerTopology& BrokerTopology::operator+=(const BrokerTopology& more) {
    add_missing(exchanges, more.exchanges);
    add_missing(queues, more.queues);
    add_missing(bindings, more.bindings);
    return *this;
}

BrokerTopology submit_topology(const BrokerLimits& limits) {
    const std::string exchange(kSubmitExchange), queue(kSubmitQueue);
    BrokerTopology out = rejected_topology(limits);
    out.exchanges.push_back({exchange, BrokerExchange::Kind::Direct});
    out.queues.push_back({.name = queue,
                          .most_octets = limits.submit,
                          .delivery_limit = kSubmitDeliveries,
                          .dead_letter_exchange = std::string(kRejectedExchange)});
    out.bindings.push_back({exchange, queue, queue});
    return out;
}

BrokerTopology deliver_topology(std::string_view sender, const BrokerLimits& limits) {
    const std::string exchange(kDeliverExchange);
    BrokerTopology out = rejected_topology(limits);
    out.exchanges.push_back({exchange, BrokerExchange::Kind::Direct});
    for (const std::string& queue : {deliver_queue(sender), deliver_high_queue(sender), overflow_queue(sender)}) {
        out.queues.push_back({.name = queue,
                              .most_octets = limits.deliver,
                              .delivery_limit = kMailDeliveries,
                              .dead_letter_exchange = std::string(kRejectedExchange)});
        out.bindings.push_back({exchange, queue, queue});
    }
    return out;
}

BrokerTopology events_topology(const std::vector<std::string>& sinks, const BrokerLimits& limits) {
    const std::string exchange(kEventsExchange);
    BrokerTopology out = rejected_topology(limits);
    out.exchanges.push_back({exchange, BrokerExchange::Kind::Direct});
    for (const std::string& sink : sinks) {
        const std::string queue = sink_queue(sink);
        out.queues.push_back({.name = queue,
                              .most_octets = limits.sink,
                              .delivery_limit = kNeverGivenUp,
                              .dead_letter_exchange = std::string(kRejectedExchange)});
        out.bindings.push_back({exchange, queue, queue});
    }
    return out;
}

BrokerTopology reports_topology(std::string_view exchange, std::string_view queue, std::uint64_t most_octets,
                                WhenFull when_full) {
    BrokerTopology out{.exchanges = {{std::string(exchange), BrokerExchange::Kind::Topic}}};
    if (queue.empty()) return out;
    out.queues.push_back({.name = std::string(queue),
                          .most_octets = most_octets,
                          .delivery_limit = kNeverGivenUp,
                          .when_full = when_full});
    out.bindings.push_back({std::string(exchange), "#", std::string(queue)});
    return out;
}

}  // namespace postfleet::wire
