// Feedback: carries the events of the outbox to the report sinks, at least once each (DESIGN section 9, P4).
//
//   EventLog ──read──▶ wanted types ──render──▶ ReportSink.write ──(200 ms)──▶ flush ──▶ EventLog.advance
//
// One thread per sink, so that a full disk or a broker that is away holds back its own sink only. After any
// failure the sink's worker starts again behind its last flushed event: duplicates are possible, gaps are not.
//
// Owns the sinks and their threads; borrows the EventLog and the metrics, which outlive it.
// Threads: externally locked; start(), reconfigure() and stop() block (on threads that end, at most
// stop_grace). Errors: none; what fails is logged, counted (see README.md) and tried again. Opening a sink
// is part of that: SinkSetup::open is called until it succeeds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/ports/event_log.hpp"
#include "postfleet/ports/report_sink.hpp"
#include "postfleet/report/cloud_event.hpp"

namespace postfleet::feedback {

struct SinkSetup {
    std::string name;              // of the cursor; a sink with a new name starts at the oldest kept event
    std::vector<EventType> types;  // what it takes; empty: everything
    std::string fingerprint;       // of all its settings: reconfigure() restarts a sink whose print has changed
    std::function<Result<std::unique_ptr<ReportSink>>()> open;
    // Appends the record of an event; false: this sink has none for it. Empty: CloudEvents JSON.
    std::function<bool(const LoggedEvent&, std::string& out)> render;
};

struct FeedbackOptions {
    report::Source source;
    std::size_t batch_events = 1'000;                           // read, rendered and written at a time
    std::size_t flush_events = 20'000;                          // flush at the latest after so many …
    Duration flush_interval = std::chrono::milliseconds(200);   // … or so long
    Duration gather_interval = std::chrono::milliseconds(100);  // between reads that find little
    Duration first_backoff = std::chrono::milliseconds(100);    // doubles up to last_backoff
    Duration last_backoff = std::chrono::seconds(30);
    Duration stop_grace = std::chrono::seconds(3);  // for the last write and flush
};

struct SinkStatus {
    std::string name;
    std::uint64_t written = 0, errors = 0;  // events; failures
    std::uint64_t lag_events = 0;           // in the outbox and not yet safe in the sink
    std::string last_error;                 // of the failure that lasts; empty: none
};

class SinkWorker;

class Feedback final {
public:
    Feedback(EventLog& events, FeedbackOptions options, Metrics& metrics, Log log);
    ~Feedback();
    Feedback(const Feedback&) = delete;
    Feedback& operator=(const Feedback&) = delete;

    // Forgets the cursors of sinks that are not named, then starts a thread for each.
    void start(std::vector<SinkSetup> sinks);
    // Stops sinks that are gone or changed, starts new and changed ones; the others do not notice.
    void reconfigure(std::vector<SinkSetup> sinks);
    void stop();

    std::vector<SinkStatus> status() const;

private:
    EventLog& events_;
    const FeedbackOptions options_;
    Metrics& metrics_;
    Log log_;
    std::map<std::string, std::unique_ptr<SinkWorker>> workers_;
};

}  // namespace postfleet::feedback
