// event_queue_sinks: the configuration's `reports` as a sender serves them in a cluster: each is a queue that the sender
// publishes to, with the types, quota and on_full that the report has. EventCarrier does the rest.
//
// CarrierOptions for it: gather_interval and flush_interval 20 ms, so that a batch waits no longer for others.
// Threads: pure; what it makes belongs to the carrier's threads. `make_publisher` is called there, once per sink and
// whenever a changed configuration restarts it; publishers come to an end before what they were made by.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::event_queues {

struct EventQueueOptions {
    std::function<std::unique_ptr<BrokerPublisher>(const std::string& sink)> make_publisher;
    std::string source;  // "/senders/mta1.example.net"
    Log log{};
};

// The queue of one report, which gets every event: feedback looks again for what the report takes.
reporting::SinkSetup event_queue_sink(const std::string& name, const EventQueueOptions& options);
std::vector<reporting::SinkSetup> event_queue_sinks(const config::Config& config, const EventQueueOptions& options);

}  // namespace postfleet::event_queues
