// ServiceHost: what every service process has beside its core: log, metrics, shards, the HTTP endpoint with /metrics and
// /healthz, readiness checks, the watchdog, signals and the drain.
//
//   create() ─▶ open_log() ─▶ make_shards() ─▶ open_admin() ─▶ … the service's own parts … ─▶ start_shards()
//            ─▶ report_running() ─▶ run() … a signal … ─▶ await_drain() per part ─▶ stop_admin() ─▶ stop_shards()
//
//   /healthz/live   200 while every shard and the main thread give signs of life, else 503 with who does not
//   /healthz/ready  200 while the process runs and no readiness check has a reason against it
//   /metrics        for Prometheus; /  which build this is
//
// create() blocks signals for the calling thread and those it starts later: call it before the first thread.
//
// Threads: the main thread's, but for log(), metrics(), readiness(), is_…() and what the parts say of themselves.
// Errors: why a part cannot be had. What was started before is stopped by the destructor.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/settled_clock.hpp"
#include "postfleet/http/server.hpp"
#include "postfleet/log/spdlog_sink.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/prometheus/exporter.hpp"
#include "postfleet/runtime/health.hpp"
#include "postfleet/runtime/main_loop.hpp"
#include "postfleet/runtime/watchdog.hpp"

namespace postfleet::service_host {

struct LogFile {
    std::string path;  // empty: standard error
    LogLevel level = LogLevel::Info;
    std::uint64_t rotate_size = 100ull << 20;
    std::uint32_t keep = 5;
};

enum class Drained { Quiet, TimedOut, Hurried };  // Hurried: a second signal came

class ServiceHost final {
public:
    static Result<std::unique_ptr<ServiceHost>> create();
    ~ServiceHost();
    ServiceHost(const ServiceHost&) = delete;
    ServiceHost& operator=(const ServiceHost&) = delete;

    // Raises the limit of open files, too, and says if it is low.
    Status open_log(const LogFile& file);
    // 0: as many as there are processors. They run after start_shards().
    Status make_shards(std::size_t count);
    // The endpoint answers from here on, not ready yet. `more` adds routes of the service's own.
    Status open_admin(const Endpoint& address, const std::function<void(http::Server&)>& more = {});

    Log log() const { return log_; }
    Metrics& metrics() { return metrics_; }
    net::LoopGroup& loops() { return *loops_; }
    runtime::MainLoop& main_loop() { return *main_loop_; }
    SpdlogSink& log_sink() { return *log_sink_; }
    const http::Server* http() const { return http_.get(); }  // null: none was opened
    WallTime started_at() const { return started_at_; }

    // Before open_admin(). `why_not` answers at once: an empty text when all is well. It is not asked while the process
    // starts.
    void add_readiness_check(std::string name, std::function<std::string()> why_not);
    runtime::Health::Report readiness() const { return health_.report(); }

    // Before start_shards(), for what has to wait for something outside: the process is alive and not ready. False:
    // somebody wants it to stop.
    bool wait_to_start(const std::function<bool()>& may_start);
    void start_shards();
    void report_running();
    bool is_starting() const { return phase_ == Phase::Starting; }
    bool is_stopping() const { return phase_ == Phase::Stopping; }

    // Until somebody wants the process to stop. on_tick comes each second, after the host's own.
    void run(runtime::MainLoop::Hooks hooks);
    // Calls `begin` and waits for its completion, as long as the deadline and the operator allow.
    Drained await_drain(SteadyTime deadline, const std::function<void(Completion<Status>)>& begin);
    // After Drained::Hurried: ends the process. What was not recorded is found again at the next start.
    [[noreturn]] void leave_at_once();

    void stop_admin();
    void stop_shards();

private:
    enum class Phase { Starting, Running, Stopping };

    explicit ServiceHost(std::unique_ptr<runtime::MainLoop> main_loop) : main_loop_(std::move(main_loop)) {}
    void register_metrics();
    void add_routes();
    void tick();
    void watch_clock();

    const WallTime started_at_ = wall_clock_now();
    std::atomic<Phase> phase_{Phase::Starting};
    SettledClock clock_;  // as each shard has one, to tell what they do
    bool is_clock_in_doubt_ = false;

    // In the order of their start; destroyed the other way round.
    std::unique_ptr<runtime::MainLoop> main_loop_;
    std::unique_ptr<SpdlogSink> log_sink_;
    Log log_;
    Metrics metrics_;
    PrometheusExporter exporter_{metrics_};
    std::unique_ptr<net::LoopGroup> loops_;
    std::unique_ptr<runtime::Watchdog> watchdog_;
    runtime::Health health_;
    std::unique_ptr<http::Server> http_;
};

}  // namespace postfleet::service_host
