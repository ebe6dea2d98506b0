#include "postfleet/feedback/queue_feedback.hpp"

#include <algorithm>

namespace postfleet::feedback {

QueueFeedback::QueueFeedback(event_queues::BrokerEventLog::MakeConsumer make_consumer, Executor& executor,
                             reporting::CarrierOptions options, Metrics& metrics, Log log)
    : make_consumer_(std::move(make_consumer)),
      executor_(executor),
      options_(std::move(options)),
      metrics_(metrics),
      log_(log) {}

QueueFeedback::~QueueFeedback() { stop(); }

void QueueFeedback::reconfigure(std::vector<reporting::SinkSetup> sinks) {
    std::erase_if(lines_, [&](const auto& line) {
        return std::none_of(sinks.begin(), sinks.end(), [&](const reporting::SinkSetup& sink) {
            return sink.name == line.first && sink.fingerprint == line.second.fingerprint;
        });
    });
    for (reporting::SinkSetup& sink : sinks) {
        if (lines_.contains(sink.name)) continue;
        Line& line = lines_[sink.name];
        line.fingerprint = sink.fingerprint;
        line.log = std::make_unique<event_queues::BrokerEventLog>(
            make_consumer_, event_queues::BrokerEventLogOptions{.sink = sink.name, .on = &executor_, .log = log_});
        line.carrier = std::make_unique<reporting::EventCarrier>(*line.log, options_, metrics_, log_);
        line.carrier->start({std::move(sink)});
    }
}

void QueueFeedback::stop() { lines_.clear(); }

std::vector<reporting::SinkStatus> QueueFeedback::status() const {
    std::vector<reporting::SinkStatus> all;
    for (const auto& [name, line] : lines_) {
        for (reporting::SinkStatus& status : line.carrier->status()) all.push_back(std::move(status));
    }
    return all;
}

std::string QueueFeedback::obstacle() const {
    for (const auto& [name, line] : lines_) {
        if (std::string obstacle = line.log->obstacle(); !obstacle.empty()) return "sink " + name + ": " + obstacle;
    }
    return {};
}

}  // namespace postfleet::feedback
