#include "postfleet/reporting/event_carrier.hpp"

#include <algorithm>

#include "sink_worker.hpp"

namespace postfleet::reporting {

EventCarrier::EventCarrier(EventLog& events, CarrierOptions options, Metrics& metrics, Log log)
    : events_(events), options_(std::move(options)), metrics_(metrics), log_(log) {}

EventCarrier::~EventCarrier() { stop(); }

void EventCarrier::start(std::vector<SinkSetup> sinks) { reconfigure(std::move(sinks)); }

void EventCarrier::reconfigure(std::vector<SinkSetup> sinks) {
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

    if (are_registered(sinks) && options_.others == CarrierOptions::Others::Forgotten) forget_others(sinks);
    for (SinkSetup& sink : sinks) {
        if (workers_.contains(sink.name)) continue;
        const std::string name = sink.name;
        auto worker = std::make_unique<SinkWorker>(events_, options_, std::move(sink), gate_, metrics_, log_);
        worker->start();
        workers_.emplace(name, std::move(worker));
    }
}

// Before anything is forgotten: as long as no reader is known, what was passed is everything.
bool EventCarrier::are_registered(const std::vector<SinkSetup>& sinks) {
    return std::all_of(sinks.begin(), sinks.end(), [this](const SinkSetup& sink) {
        const Result<std::uint64_t> cursor = events_.open_cursor(sink.name);
        if (cursor) return true;
        // Its thread tries again, and tells.
        log_.line(LogLevel::Warning, "report-cursors-not-forgotten").field("error", cursor.error().text);
        return false;
    });
}

void EventCarrier::forget_others(const std::vector<SinkSetup>& sinks) {
    std::vector<std::string> names;
    for (const SinkSetup& sink : sinks) names.push_back(sink.name);
    const Status kept = events_.keep_only_cursors(names);
    if (kept) return;
    // They hold events back until the next start; nothing is lost.
    log_.line(LogLevel::Warning, "report-cursors-not-forgotten").field("error", kept.error().text);
}

void EventCarrier::stop() {
    for (const auto& [name, worker] : workers_) worker->request_stop();
    for (const auto& [name, worker] : workers_) worker->join();
}

std::vector<SinkStatus> EventCarrier::status() const {
    std::vector<SinkStatus> all;
    for (const auto& [name, worker] : workers_) all.push_back(worker->status());
    return all;
}

void ReportGate::close(const std::string& sink, std::string reason) {
    const std::lock_guard lock(mutex_);
    closed_by_[sink] = std::move(reason);
    is_open_.store(false, std::memory_order_relaxed);
}

void ReportGate::open(const std::string& sink) {
    const std::lock_guard lock(mutex_);
    closed_by_.erase(sink);
    is_open_.store(closed_by_.empty(), std::memory_order_relaxed);
}

Admission ReportGate::admission() const {
    if (is_open_.load(std::memory_order_relaxed)) return {};
    const std::lock_guard lock(mutex_);
    if (closed_by_.empty()) return {};
    return {.open = false, .space_low = true, .reason = closed_by_.begin()->second};
}

}  // namespace postfleet::reporting
