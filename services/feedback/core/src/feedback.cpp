#include "postfleet/feedback/feedback.hpp"

#include <algorithm>

#include "sink_worker.hpp"

namespace postfleet::feedback {

Feedback::Feedback(EventLog& events, FeedbackOptions options, Metrics& metrics, Log log)
    : events_(events), options_(std::move(options)), metrics_(metrics), log_(log) {}

Feedback::~Feedback() { stop(); }

void Feedback::start(std::vector<SinkSetup> sinks) { reconfigure(std::move(sinks)); }

void Feedback::reconfigure(std::vector<SinkSetup> sinks) {
    std::vector<std::unique_ptr<SinkWorker>> leaving;
    for (auto at = workers_.begin(); at != workers_.end();) {
        const bool stays = std::any_of(sinks.begin(), sinks.end(), [&](const SinkSetup& sink) {
            return sink.name == at->first && sink.fingerprint == at->second->fingerprint();
        });
        if (!stays) {
            at->second->request_stop();
            leaving.push_back(std::move(at->second));
        }
        at = stays ? std::next(at) : workers_.erase(at);
    }
    for (const auto& worker : leaving) worker->join();

    std::vector<std::string> names;
    for (const SinkSetup& sink : sinks) names.push_back(sink.name);
    if (const Status kept = events_.keep_only_cursors(names); !kept) {
        // They hold events back until the next start; nothing is lost.
        log_.line(LogLevel::Warning, "report_cursors_not_forgotten").field("error", kept.error().text);
    }
    for (SinkSetup& sink : sinks) {
        if (workers_.contains(sink.name)) continue;
        const std::string name = sink.name;
        auto worker = std::make_unique<SinkWorker>(events_, options_, std::move(sink), metrics_, log_);
        worker->start();
        workers_.emplace(name, std::move(worker));
    }
}

void Feedback::stop() {
    for (const auto& [name, worker] : workers_) worker->request_stop();
    for (const auto& [name, worker] : workers_) worker->join();
}

std::vector<SinkStatus> Feedback::status() const {
    std::vector<SinkStatus> all;
    for (const auto& [name, worker] : workers_) all.push_back(worker->status());
    return all;
}

}  // namespace postfleet::feedback
