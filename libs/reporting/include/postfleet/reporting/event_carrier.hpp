// EventCarrier: carries the events of the outbox to the report sinks, at least once each (DESIGN section 9, P4).
//
//   EventLog ──read──▶ wanted types ──render──▶ ReportSink.write ──(200 ms)──▶ flush ──▶ EventLog.advance
//
// One thread per sink, so that a full disk or a broker that is away holds back its own sink only. After any
// failure the sink's worker starts again behind its last flushed event: duplicates are possible, gaps are not,
// except where more waits for a sink than its quota: then its oldest events are dropped and counted, or admission()
// says that no more mail should come in, whichever the sink was set up for.
//
// Owns the sinks and their threads; borrows the EventLog and the metrics, which outlive it.
// Threads: admission() is thread-safe; the rest externally locked; start(), reconfigure() and stop() block (on
// threads that end, at most stop_grace). Errors: none; what fails is logged, counted (see README.md) and tried again. Opening a sink
// is part of that: SinkSetup::open is called until it succeeds.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/ports/event_log.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/ports/report_sink.hpp"
#include "postfleet/report/cloud_event.hpp"

namespace postfleet::reporting {

// What happens when more waits for a sink than its quota.
enum class WhenFull : std::uint8_t {
    DropOldest,  // its oldest events, counted; mail goes on
    Pause,       // nothing is dropped: no new mail, until less than nine tenths of the quota wait
};

struct SinkSetup {
    std::string name;              // of the cursor; a sink with a new name starts at the oldest kept event
    std::vector<EventType> types;  // what it takes; empty: everything
    std::string fingerprint;       // of all its settings: reconfigure() restarts a sink whose print has changed
    std::function<Result<std::unique_ptr<ReportSink>>()> open;
    // What can be known to be wrong before a process starts; empty: open() tells all of it.
    std::function<Status()> check;
    // Appends the record of an event; false: this sink has none for it. Empty: CloudEvents JSON.
    std::function<bool(const LoggedEvent&, std::string& out)> render;
    std::uint64_t quota = UINT64_MAX;  // octets in the outbox, about: it is looked at once a second, or flush
    WhenFull when_full = WhenFull::DropOldest;
};

struct CarrierOptions {
    // Cursors of sinks that the carrier is not given: forgotten, so that they hold nothing back, or kept.
    enum class Others : std::uint8_t { Forgotten, Kept };
    Others others = Others::Forgotten;
    report::Source source;
    std::size_t batch_events = 1'000;                           // read, rendered and written at a time
    std::size_t flush_events = 20'000;                          // flush at the latest after so many …
    Duration flush_interval = std::chrono::milliseconds(200);   // … or so long
    Duration gather_interval = std::chrono::milliseconds(100);  // between reads that find little
    Duration first_backoff = std::chrono::milliseconds(100);    // doubles up to last_backoff
    Duration last_backoff = std::chrono::seconds(30);
    Duration quota_interval = std::chrono::seconds(1);  // between looks at what waits for a sink
    Duration stop_grace = std::chrono::seconds(3);      // for the last write and flush
};

struct SinkStatus {
    std::string name;
    std::uint64_t written = 0, errors = 0;  // events; failures
    std::uint64_t lag_events = 0;           // in the outbox and not yet safe in the sink
    std::uint64_t dropped = 0;              // events, because of the quota
    bool is_full = false;                   // and stops mail
    std::string last_error;                 // of the failure that lasts; empty: none
};

// Which sinks stop mail. Threads: thread-safe.
class ReportGate final {
public:
    void close(const std::string& sink, std::string reason);
    void open(const std::string& sink);
    Admission admission() const;

private:
    std::atomic<bool> is_open_{true};
    mutable std::mutex mutex_;
    std::map<std::string, std::string> closed_by_;
};

class SinkWorker;

class EventCarrier final {
public:
    EventCarrier(EventLog& events, CarrierOptions options, Metrics& metrics, Log log);
    ~EventCarrier();
    EventCarrier(const EventCarrier&) = delete;
    EventCarrier& operator=(const EventCarrier&) = delete;

    // Registers the sinks, forgets the cursors of others if it is to, then starts a thread for each. Comes before the first
    // event of a new outbox: what was committed before any reader was known is for nobody.
    void start(std::vector<SinkSetup> sinks);
    // Stops sinks that are gone or changed, starts new and changed ones; the others do not notice.
    void reconfigure(std::vector<SinkSetup> sinks);
    void stop();

    std::vector<SinkStatus> status() const;
    // Closed while a sink that pauses mail is full.
    Admission admission() const { return gate_.admission(); }

private:
    bool are_registered(const std::vector<SinkSetup>& sinks);
    void forget_others(const std::vector<SinkSetup>& sinks);

    EventLog& events_;
    const CarrierOptions options_;
    Metrics& metrics_;
    Log log_;
    ReportGate gate_;
    std::map<std::string, std::unique_ptr<SinkWorker>> workers_;
};

}  // namespace postfleet::reporting
