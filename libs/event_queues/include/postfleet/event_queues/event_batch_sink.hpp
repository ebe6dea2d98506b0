// event_batch_sink: a ReportSink that publishes events, as they are in the outbox, to the queue of one report sink.
//
// Its records need no text: give the sink a render function that writes nothing and answers true.
// Threads: as ReportSink. Errors: as BrokerPublisher; a queue that is full and refuses fails the flush.
#pragma once

#include <memory>
#include <string>

#include "postfleet/base/log.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/ports/report_sink.hpp"

namespace postfleet::event_queues {

struct EventBatchSinkOptions {
    std::string sink;    // name of the report sink
    std::string source;  // CloudEvents' source of these events: "/senders/mta1.example.net"
    std::size_t most_events = 100;
    std::size_t most_octets = 256u << 10;
    std::size_t window = 64;  // batches that are not confirmed
    Duration deadline = std::chrono::seconds(35);
    Log log{};
};

std::unique_ptr<ReportSink> event_batch_sink(std::unique_ptr<BrokerPublisher> publisher, EventBatchSinkOptions options);

}  // namespace postfleet::event_queues
