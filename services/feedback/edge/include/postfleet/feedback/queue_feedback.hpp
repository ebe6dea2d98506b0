// QueueFeedback: the feedback process of a cluster: one queue of the broker, one event log and one carrier per report.
//
//   postfleet.sink.<name> ──▶ BrokerEventLog ──▶ EventCarrier ──▶ the report's sink ──▶ ack
//
// Several processes may consume the same queues; each takes a part. A sink that fails holds what its consumer was given,
// and no more; the rest waits in the broker.
//
// Threads: externally locked; start(), reconfigure() and stop() block on threads that end, at most stop_grace.
// `executor` runs deliveries and outlives this. Errors: none; see EventCarrier.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/event_queues/broker_event_log.hpp"
#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::feedback {

class QueueFeedback final {
public:
    QueueFeedback(event_queues::BrokerEventLog::MakeConsumer make_consumer, Executor& executor,
                  reporting::CarrierOptions options, Metrics& metrics, Log log);
    ~QueueFeedback();
    QueueFeedback(const QueueFeedback&) = delete;
    QueueFeedback& operator=(const QueueFeedback&) = delete;

    // Starts what is new or has changed and ends what is gone; the others do not notice.
    void reconfigure(std::vector<reporting::SinkSetup> sinks);
    void stop();

    std::vector<reporting::SinkStatus> status() const;
    // What keeps it from consuming, for readiness; empty: nothing.
    std::string obstacle() const;

private:
    struct Line {
        std::string fingerprint;
        std::unique_ptr<event_queues::BrokerEventLog> log;
        std::unique_ptr<reporting::EventCarrier> carrier;  // before its log
    };

    const event_queues::BrokerEventLog::MakeConsumer make_consumer_;
    Executor& executor_;
    const reporting::CarrierOptions options_;
    Metrics& metrics_;
    Log log_;
    std::map<std::string, Line> lines_;
};

}  // namespace postfleet::feedback
