#include "sink_worker.hpp"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::reporting {
namespace {

// EventLog::wait() cannot be woken for one sink alone, so a stop is noticed after at most this.
constexpr auto kLongestWait = std::chrono::milliseconds(250);
constexpr auto kFailureReminder = std::chrono::minutes(1);
// Read at a time when the oldest are dropped, so that hardly more goes than has to.
constexpr std::size_t kDropEvents = 100;

Labels labels_of(const std::string& sink) { return {{"sink", sink}}; }

}  // namespace

SinkWorker::SinkWorker(EventLog& events, const CarrierOptions& options, SinkSetup setup, ReportGate& gate,
                       Metrics& metrics, Log log)
    : events_(events),
      options_(options),
      setup_(std::move(setup)),
      gate_(gate),
      log_(log),
      written_counter_(metrics.counter("postfleet_report_events_written_total",
                                       "Events that are safe in a report sink.", labels_of(setup_.name))),
      error_counter_(metrics.counter("postfleet_report_errors_total",
                                     "Failed attempts to open, write or flush a report sink.", labels_of(setup_.name))),
      dropped_counter_(metrics.counter("postfleet_report_events_dropped_total",
                                       "Events that a report sink never got, because more waited than its quota.",
                                       labels_of(setup_.name))),
      lag_gauge_(metrics.gauge("postfleet_report_lag_events", "Events in the outbox that are not yet safe in the sink.",
                               labels_of(setup_.name))),
      waiting_gauge_(metrics.gauge("postfleet_report_waiting_octets",
                                   "What waits for a report sink in the outbox, about.", labels_of(setup_.name))),
      full_gauge_(metrics.gauge("postfleet_report_full", "1 while a report sink is full and stops new mail.",
                                labels_of(setup_.name))) {}

SinkWorker::~SinkWorker() {
    request_stop();
    join();
}

void SinkWorker::start() {
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), ("rep-" + setup_.name).substr(0, 15).c_str());
        run();
    });
}

void SinkWorker::request_stop() {
    {
        std::lock_guard lock(mutex_);
        if (!stopping_) give_up_ = steady_clock_now() + options_.stop_grace;
        stopping_ = true;
        if (sink_) sink_->finish_by(give_up_);
    }
    wake_.notify_all();
}

void SinkWorker::join() {
    if (thread_.joinable()) thread_.join();
}

SinkStatus SinkWorker::status() const {
    SinkStatus status;
    status.name = setup_.name;
    status.written = written_.load(std::memory_order_relaxed);
    status.errors = errors_.load(std::memory_order_relaxed);
    status.lag_events = lag();
    status.dropped = dropped_.load(std::memory_order_relaxed);
    status.is_full = is_full_.load(std::memory_order_relaxed);
    std::lock_guard lock(mutex_);
    status.last_error = last_error_;
    return status;
}

void SinkWorker::run() {
    while (!is_stopping()) {
        if (const Status worked = work(); !worked) {
            on_failure(worked.error());
            if (waits_out_backoff()) break;
        }
    }
    finish();
    gate_.open(setup_.name);  // whoever comes after it looks again
}

Status SinkWorker::work() {
    if (Status opened = open(); !opened) return opened;
    while (!is_stopping()) {
        const Result<std::size_t> passed = write_batch();
        if (!passed) return passed.error();
        const SteadyTime now = steady_clock_now();
        if (flush_is_due(now)) {
            if (Status flushed = flush(); !flushed) return flushed;
            on_success();
        }
        // Also when nothing comes: a sink that has closed the door has to open it again.
        if (unflushed_ == 0) keep_quota();
        if (*passed == options_.batch_events) continue;
        // Few events: let more gather, so that a steady trickle costs ten turns a second and not thousands.
        if (*passed > 0) {
            stops_within(options_.gather_interval);
        } else if (unflushed_ > 0) {
            stops_within(std::max<Duration>(first_unflushed_ + options_.flush_interval - now, Duration::zero()));
        } else {
            events_.wait(position_, now + kLongestWait);
        }
    }
    return {};
}

Status SinkWorker::open() {
    // The cursor first: what waits for a sink that cannot be opened counts, too.
    if (!has_cursor_) {
        const Result<std::uint64_t> cursor = events_.open_cursor(setup_.name);
        if (!cursor) return cursor.error();
        flushed_.store(*cursor, std::memory_order_relaxed);
        position_ = *cursor;
        has_cursor_ = true;
    }
    if (!sink_) {
        Result<std::unique_ptr<ReportSink>> opened = setup_.open();
        if (!opened) return opened.error();
        std::lock_guard lock(mutex_);
        sink_ = std::move(*opened);
        if (stopping_) sink_->finish_by(give_up_);
    }
    return {};
}

// How many events it passed, wanted or not.
Result<std::size_t> SinkWorker::write_batch() {
    const Result<std::vector<LoggedEvent>> batch = events_.read(position_, options_.batch_events);
    if (!batch) return batch.error();
    lag_gauge_.set(static_cast<std::int64_t>(lag()));
    if (batch->empty()) return std::size_t{0};

    std::size_t wanted = 0;
    for (const LoggedEvent& logged : *batch) {
        if (!is_wanted(logged.event->type)) continue;
        if (wanted == records_.size()) records_.emplace_back();
        ReportRecord& record = records_[wanted];  // keeps its capacity from batch to batch
        record.text.clear();
        record.event = logged.event;
        record.number = logged.number;
        if (render(logged, record.text)) ++wanted;
    }
    if (Status written = sink_->write(std::span(records_).first(wanted)); !written) return written.error();
    if (unflushed_ == 0) first_unflushed_ = steady_clock_now();
    unflushed_ += batch->size();
    written_unflushed_ += wanted;
    position_ = batch->back().number;
    return batch->size();
}

bool SinkWorker::render(const LoggedEvent& logged, std::string& record) const {
    if (setup_.render) return setup_.render(logged, record);
    if (logged.source) report::render_cloud_event(*logged.event, logged.sequence, {*logged.source}, record);
    else report::render_cloud_event(*logged.event, logged.number, options_.source, record);
    return true;
}

bool SinkWorker::flush_is_due(SteadyTime now) const {
    return unflushed_ > 0 && (unflushed_ >= options_.flush_events || now - first_unflushed_ >= options_.flush_interval);
}

Status SinkWorker::flush() {
    if (written_unflushed_ > 0) {
        if (Status flushed = sink_->flush(); !flushed) return flushed;
    }
    if (Status advanced = events_.advance(setup_.name, position_); !advanced) return advanced;
    flushed_.store(position_, std::memory_order_relaxed);
    written_.fetch_add(written_unflushed_, std::memory_order_relaxed);
    written_counter_.add(written_unflushed_);
    unflushed_ = written_unflushed_ = 0;
    lag_gauge_.set(static_cast<std::int64_t>(lag()));
    return {};
}

// The last writes before the thread ends; whatever fails now is still in the outbox.
void SinkWorker::finish() {
    // Not where it fails anyway: others wait for the end of the process.
    if (!sink_ || !has_cursor_ || backoff_ > Duration::zero()) return;
    const SteadyTime give_up = [this] {
        std::lock_guard lock(mutex_);
        return give_up_;
    }();
    for (;;) {
        const Result<std::size_t> passed = write_batch();
        if (!passed) return on_failure(passed.error());
        if (*passed == 0 || steady_clock_now() >= give_up) break;
    }
    if (unflushed_ == 0) return;
    if (const Status flushed = flush(); !flushed) on_failure(flushed.error());
}

void SinkWorker::keep_quota() {
    const SteadyTime now = steady_clock_now();
    if (!has_cursor_ || now - quota_looked_at_ < options_.quota_interval) return;
    quota_looked_at_ = now;
    const std::uint64_t octets = events_.octets_after(flushed_.load(std::memory_order_relaxed));
    waiting_gauge_.set(static_cast<std::int64_t>(octets));
    if (setup_.when_full == WhenFull::DropOldest) {
        if (octets > setup_.quota) drop_oldest();
    } else {
        set_full(octets);
    }
}

// So many that the rest is inside the quota. They are read to know how many of them the sink would have had.
void SinkWorker::drop_oldest() {
    while (!is_stopping() && events_.octets_after(flushed_.load(std::memory_order_relaxed)) > setup_.quota) {
        const Result<std::vector<LoggedEvent>> batch =
            events_.read(flushed_.load(std::memory_order_relaxed), kDropEvents);
        if (!batch || batch->empty()) break;  // whatever is wrong, the next write tells of it
        if (!events_.advance(setup_.name, batch->back().number)) break;
        position_ = batch->back().number;
        flushed_.store(position_, std::memory_order_relaxed);
        const auto lost = static_cast<std::uint64_t>(std::count_if(
            batch->begin(), batch->end(), [&](const LoggedEvent& logged) { return is_wanted(logged.event->type); }));
        dropped_.fetch_add(lost, std::memory_order_relaxed);
        dropped_counter_.add(lost);
        untold_drops_ += lost;
    }
    lag_gauge_.set(static_cast<std::int64_t>(lag()));
    const SteadyTime now = steady_clock_now();
    if (untold_drops_ == 0 || now - drops_told_ < kFailureReminder) return;
    drops_told_ = now;
    log_.line(LogLevel::Error, "report-events-dropped")
        .field("sink", setup_.name)
        .field("events", std::exchange(untold_drops_, 0))
        .field("because", "more than its quota of " + format_size(setup_.quota) + " waited for it; the oldest go");
}

void SinkWorker::set_full(std::uint64_t octets) {
    const bool was_full = is_full_.load(std::memory_order_relaxed);
    const bool is_full = was_full ? octets > setup_.quota / 10 * 9 : octets > setup_.quota;
    if (is_full == was_full) return;
    is_full_.store(is_full, std::memory_order_relaxed);
    full_gauge_.set(is_full ? 1 : 0);
    if (is_full) {
        gate_.close(setup_.name, "more than " + format_size(setup_.quota) + " of reports wait for the sink '" +
                                     setup_.name + "', which stops new mail (on_full: pause)");
        log_.line(LogLevel::Error, "report-sink-full").field("sink", setup_.name).field("then", "no new mail");
    } else {
        gate_.open(setup_.name);
        log_.line(LogLevel::Info, "report-sink-has-room").field("sink", setup_.name).field("then", "mail goes on");
    }
}

bool SinkWorker::is_wanted(EventType type) const {
    return setup_.types.empty() || std::find(setup_.types.begin(), setup_.types.end(), type) != setup_.types.end();
}

void SinkWorker::on_failure(const Error& error) {
    // What was written since the last flush may be lost: again from there.
    position_ = flushed_.load(std::memory_order_relaxed);
    unflushed_ = written_unflushed_ = 0;
    backoff_ = std::clamp<Duration>(backoff_ * 2, options_.first_backoff, options_.last_backoff);
    errors_.fetch_add(1, std::memory_order_relaxed);
    error_counter_.add();
    const SteadyTime now = steady_clock_now();
    bool first = false;
    {
        std::lock_guard lock(mutex_);
        first = last_error_.empty();
        last_error_ = error.text;
    }
    if (!first && now - failure_told_ < kFailureReminder) return;
    failure_told_ = now;
    log_.line(LogLevel::Error, "report-sink-failed")
        .field("sink", setup_.name)
        .field("error", error.text)
        .field("lag_events", lag());
}

void SinkWorker::on_success() {
    backoff_ = Duration::zero();
    bool recovered = false;
    {
        std::lock_guard lock(mutex_);
        recovered = !last_error_.empty();
        last_error_.clear();
    }
    if (recovered) log_.line(LogLevel::Info, "report-sink-recovered").field("sink", setup_.name);
}

// True: we are stopping.
bool SinkWorker::waits_out_backoff() {
    const SteadyTime until = steady_clock_now() + backoff_;
    for (;;) {
        keep_quota();
        const Duration left = until - steady_clock_now();
        if (left <= Duration::zero()) return is_stopping();
        if (stops_within(std::min<Duration>(left, options_.quota_interval))) return true;
    }
}

bool SinkWorker::stops_within(Duration pause) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, pause, [&] { return stopping_; });
}

bool SinkWorker::is_stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
}

std::uint64_t SinkWorker::lag() const {
    const std::uint64_t last = events_.last_number();
    const std::uint64_t flushed = flushed_.load(std::memory_order_relaxed);
    return last > flushed ? last - flushed : 0;
}

}  // namespace postfleet::reporting
