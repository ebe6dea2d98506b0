// SinkWorker: the thread of one report sink.
//
//   position_  the last event that was written      ≥  flushed_  the last that is safe: where the cursor stands
//
// A failure of any kind sets position_ back to flushed_. The quota is kept where the two are the same: after a flush,
// and while it waits to try again. Threads: start, request_stop, join and status() from
// the owner; the rest on the worker's own thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::reporting {

class SinkWorker final {
public:
    SinkWorker(EventLog& events, const CarrierOptions& options, SinkSetup setup, ReportGate& gate, Metrics& metrics,
               Log log);
    ~SinkWorker();
    SinkWorker(const SinkWorker&) = delete;
    SinkWorker& operator=(const SinkWorker&) = delete;

    void start();
    void request_stop();
    void join();

    const std::string& fingerprint() const { return setup_.fingerprint; }
    SinkStatus status() const;

private:
    void run();
    Status work();  // until stop or a failure
    Status open();
    Result<std::size_t> write_batch();
    bool render(const LoggedEvent& logged, std::string& record) const;
    Status flush();
    void finish();
    void keep_quota();
    void drop_oldest();
    void set_full(std::uint64_t octets);
    bool is_wanted(EventType type) const;
    bool flush_is_due(SteadyTime now) const;
    void on_failure(const Error& error);
    void on_success();
    bool waits_out_backoff();
    bool stops_within(Duration pause);  // sleeps; true: we are stopping
    bool is_stopping() const;
    std::uint64_t lag() const;

    EventLog& events_;
    const CarrierOptions options_;
    const SinkSetup setup_;
    ReportGate& gate_;
    Log log_;
    Counter& written_counter_;
    Counter& error_counter_;
    Counter& dropped_counter_;
    Gauge& lag_gauge_;
    Gauge& waiting_gauge_;
    Gauge& full_gauge_;

    // The worker's thread's own.
    std::unique_ptr<ReportSink> sink_;  // set under mutex_, because request_stop() speaks to it
    bool has_cursor_ = false;
    std::uint64_t position_ = 0;
    std::size_t unflushed_ = 0;  // events passed since the last flush, wanted or not
    std::size_t written_unflushed_ = 0;
    SteadyTime first_unflushed_{};
    Duration backoff_{};
    SteadyTime failure_told_{};
    SteadyTime quota_looked_at_{}, drops_told_{};
    std::uint64_t untold_drops_ = 0;
    std::vector<ReportRecord> records_;

    std::atomic<std::uint64_t> flushed_{0}, written_{0}, errors_{0}, dropped_{0};
    std::atomic<bool> is_full_{false};
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    SteadyTime give_up_{};  // when stopping
    std::string last_error_;
    std::thread thread_;
};

}  // namespace postfleet::reporting
