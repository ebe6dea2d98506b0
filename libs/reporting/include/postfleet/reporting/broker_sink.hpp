// broker_sink: a ReportSink that publishes each event as CloudEvents JSON to a topic exchange.
//
//   routing key   report_routing_key(): "email.bounced.acme.bulk"
//   properties    message_id the event's id, type "email.bounced", content_type application/cloudevents+json
//   headers       tenant, job, pool, virtual_mta, queue, recipient, as far as the event has them
//
// Threads: as ReportSink. Errors: as BrokerPublisher. A queue that is full and refuses fails the flush, so its events
// wait in the outbox.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "postfleet/ports/broker.hpp"
#include "postfleet/ports/report_sink.hpp"

namespace postfleet::reporting {

struct BrokerSinkOptions {
    std::string exchange;
    std::size_t window = 1'000;                    // published and not confirmed
    Duration deadline = std::chrono::seconds(35);  // of write() and flush(); longer than a publisher's own
    std::function<void(EventId, const std::string& why)> refused;
};

std::unique_ptr<ReportSink> broker_sink(std::unique_ptr<BrokerPublisher> publisher, BrokerSinkOptions options);

}  // namespace postfleet::reporting
