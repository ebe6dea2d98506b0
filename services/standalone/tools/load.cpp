#include "load.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>

namespace postfleet::tools {

namespace {

constexpr Duration kTick = std::chrono::milliseconds(10);
constexpr Duration kFirstGreeting = std::chrono::seconds(10);

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double seconds_since(SteadyTime start) { return std::chrono::duration<double>(steady_clock_now() - start).count(); }

}  // namespace

void LoadShard::start(unsigned sessions, unsigned first) {
    const std::vector<IpAddress>& sources = shared_.options.sources;
    for (unsigned i = 0; i < sessions; ++i) {
        std::optional<IpAddress> source;
        if (!sources.empty()) source = sources[(first + i) % sources.size()];
        sessions_.push_back(std::make_unique<LoadSession>(*this, source));
    }
    for (const auto& session : sessions_) session->start();
}

void LoadShard::stop() {
    for (const auto& session : sessions_) session->stop();
}

std::optional<LoadJob> LoadShard::next_job() {
    if (shared_.stopping.load(std::memory_order_relaxed)) return std::nullopt;
    if (!retries_.empty() && retries_.front().due <= loop_.now()) {
        const LoadJob job = retries_.front();
        retries_.pop_front();
        return job;
    }
    const LoadOptions& options = shared_.options;
    const bool is_over_time = options.duration > Duration::zero() && loop_.now() >= shared_.start + options.duration;
    if (!is_over_time &&
        (options.messages == 0 || shared_.next_message.load(std::memory_order_relaxed) < options.messages)) {
        const std::uint64_t number = shared_.next_message.fetch_add(1, std::memory_order_relaxed);
        if (options.messages == 0 || number < options.messages) {
            LoadJob job{number, 0, shared_.start};
            if (options.rate > 0) {
                job.due += Duration(static_cast<std::int64_t>(static_cast<double>(number) * 1e9 / options.rate));
            }
            const bool is_too_late = options.duration > Duration::zero() && job.due > shared_.start + options.duration;
            if (!is_too_late) return job;
        }
    }
    if (retries_.empty()) return std::nullopt;
    const LoadJob job = retries_.front();
    retries_.pop_front();
    return job;
}

void LoadShard::retry(LoadJob job) {
    ++job.attempt;
    job.due = loop_.now() + shared_.options.retry_after;
    retries_.push_back(job);
}

bool LoadShard::may_retry(const LoadJob& job) const { return job.attempt < shared_.options.retries; }

void LoadShard::on_session_done() {
    const bool all_done =
        std::all_of(sessions_.begin(), sessions_.end(), [](const auto& session) { return session->is_done(); });
    if (all_done) shared_.shards_left.fetch_sub(1, std::memory_order_release);
}

Load::~Load() { stop(); }

Result<std::unique_ptr<Load>> Load::open(const LoadOptions& given) {
    std::unique_ptr<Load> load(new Load);
    LoadOptions options = given;
    if (options.sink) {
        SinkOptions sink;
        sink.listen = {*options.sink};
        sink.threads = options.sink_threads;
        sink.rules = options.sink_rules;
        sink.id_header = "X-Load-Id";
        Result<std::unique_ptr<Sink>> opened = Sink::open(sink);
        if (!opened) return opened.error();
        load->sink_ = std::move(*opened);
        if (options.target == Endpoint{}) options.target = load->sink_address();
    }
    if (options.messages == 0 && options.duration == Duration::zero()) {
        return Error{ErrorKind::InvalidArgument, "give --messages or --duration, or it would never end"};
    }
    options.threads = std::clamp(options.threads, 1u, std::max(options.sessions, 1u));
    load->shared_ = std::make_unique<LoadShared>(options);
    if (options.tls != LoadTls::None) {
        auto context = tls::ClientContext::load({.max_sessions = 0});
        if (!context) return context.error();
        load->shared_->tls = std::move(*context);
    }
    Result<std::unique_ptr<net::LoopGroup>> loops = net::LoopGroup::create(options.threads);
    if (!loops) return loops.error();
    load->loops_ = std::move(*loops);
    for (net::EpollLoop* loop : load->loops_->loops()) {
        load->shards_.push_back(std::make_unique<LoadShard>(*load->shared_, *loop));
    }
    return load;
}

void Load::start() {
    if (sink_) sink_->start();
    is_running_ = true;
    shared_->start = steady_clock_now();
    shared_->last_reply = shared_->start.time_since_epoch().count();
    shared_->shards_left = static_cast<unsigned>(shards_.size());
    loops_->start();
    const auto count = static_cast<unsigned>(shards_.size());
    unsigned first = 0;
    for (unsigned i = 0; i < count; ++i) {
        const unsigned sessions = shared_->options.sessions / count + (i < shared_->options.sessions % count ? 1 : 0);
        shards_[i]->loop().post([shard = shards_[i].get(), sessions, first] { shard->start(sessions, first); });
        first += sessions;
    }
}

bool Load::is_finished() const { return shared_->shards_left.load(std::memory_order_acquire) == 0; }

std::optional<std::string> Load::has_stalled() const {
    const LoadOptions& options = shared_->options;
    const SteadyTime last(Duration(shared_->last_reply.load(std::memory_order_relaxed)));
    const Duration silence = steady_clock_now() - last;
    const bool was_greeted = shared_->was_greeted.load(std::memory_order_relaxed);
    if (!was_greeted && silence > std::min<Duration>(kFirstGreeting, options.patience)) {
        return fmt::format("nobody greets at {}; is the server running there?", options.target.to_string());
    }
    // Slow pacing is no silence of the server.
    const Duration pace = options.rate > 0 ? Duration(static_cast<std::int64_t>(1e9 / options.rate)) : Duration::zero();
    if (silence > options.patience + options.retry_after + pace) {
        return fmt::format("no reply from {} for {}", options.target.to_string(), format_duration(options.patience));
    }
    return std::nullopt;
}

void Load::stop() {
    if (!std::exchange(is_running_, false)) return;
    shared_->stopping.store(true, std::memory_order_relaxed);
    for (const auto& shard : shards_) {
        shard->loop().post([shard = shard.get()] { shard->stop(); });
    }
    loops_->stop();
    loops_->join();
    if (sink_) sink_->stop();
}

LoadCounts Load::counts() {
    LoadCounts total;
    for (const auto& shard : shards_) total.merge(shard->counts());
    return total;
}

namespace {

// Waits until the sink has everything that was accepted, or nothing has come for `wait`.
double await_arrivals(Load& load, SteadyTime start, std::uint64_t expected, UniqueFunction<bool(const Load&)>& tick) {
    std::uint64_t seen = load.sink()->deliveries();
    SteadyTime last_arrival = steady_clock_now();
    while (seen < expected && steady_clock_now() < last_arrival + load.options().wait && tick(load)) {
        std::this_thread::sleep_for(kTick);
        if (const std::uint64_t now = load.sink()->deliveries(); now != seen) {
            seen = now;
            last_arrival = steady_clock_now();
        }
    }
    return std::chrono::duration<double>(last_arrival - start).count();
}

}  // namespace

LoadReport run_to_end(Load& load, UniqueFunction<bool(const Load&)> tick) {
    LoadReport report;
    const SteadyTime start = steady_clock_now();
    load.start();
    while (!load.is_finished()) {
        std::this_thread::sleep_for(kTick);
        if (!tick(load)) {
            report.was_interrupted = true;
            break;
        }
        if (std::optional<std::string> failure = load.has_stalled()) {
            report.failure = std::move(*failure);
            break;
        }
    }
    report.seconds = seconds_since(start);
    report.has_sink = load.sink() != nullptr;
    const std::uint64_t expected = load.accepted_recipients();
    if (report.has_sink) report.end_to_end_seconds = await_arrivals(load, start, expected, tick);
    load.stop();
    report.cpu_seconds = cpu_seconds();
    report.counts = load.counts();
    if (report.has_sink) {
        report.sink = load.sink()->counts();
        report.check = check_deliveries(report.counts.deliveries, report.sink.deliveries);
    }
    return report;
}

}  // namespace postfleet::tools
