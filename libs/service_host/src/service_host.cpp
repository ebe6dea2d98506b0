#include "postfleet/service_host/service_host.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <utility>

#include "postfleet/base/json.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "postfleet/runtime/process.hpp"

namespace postfleet::service_host {

namespace {

constexpr auto kStallLimit = std::chrono::seconds(10);
// After a drain's own deadline, for its completion to arrive.
constexpr auto kCompletionGrace = std::chrono::seconds(2);
constexpr std::uint64_t kFewDescriptors = 4'096;

}  // namespace

Result<std::unique_ptr<ServiceHost>> ServiceHost::create() {
    auto main_loop = runtime::MainLoop::create();
    if (!main_loop) return main_loop.error();
    return std::unique_ptr<ServiceHost>(new ServiceHost(*std::move(main_loop)));
}

ServiceHost::~ServiceHost() {
    stop_admin();
    stop_shards();
}

Status ServiceHost::open_log(const LogFile& file) {
    auto sink = SpdlogSink::open({.path = file.path, .rotate_size = file.rotate_size, .keep = file.keep});
    if (!sink) return sink.error();
    log_sink_ = *std::move(sink);
    log_ = Log(*log_sink_, file.level);
    const std::uint64_t descriptors = runtime::raise_descriptor_limit();
    if (descriptors < kFewDescriptors) {
        log_.line(LogLevel::Warning, "few-file-descriptors")
            .field("limit", descriptors)
            .field("advice", "raise LimitNOFILE (systemd) or ulimit -n");
    }
    return {};
}

Status ServiceHost::make_shards(std::size_t count) {
    if (count == 0) count = std::max(1u, std::thread::hardware_concurrency());
    auto loops = net::LoopGroup::create(static_cast<unsigned>(count));
    if (!loops) return loops.error();
    loops_ = *std::move(loops);
    std::vector<Executor*> shards(loops_->loops().begin(), loops_->loops().end());
    watchdog_ = std::make_unique<runtime::Watchdog>(std::move(shards), kStallLimit, metrics_);
    register_metrics();
    health_.add("process", [this]() -> std::string {
        if (is_stopping()) return "stopping";
        return is_starting() ? "starting" : "";
    });
    health_.add("shards", [this]() -> std::string {
        const std::vector<std::string> stalled = watchdog_->stalled(steady_clock_now());
        return stalled.empty() ? "" : stalled.front();
    });
    return {};
}

void ServiceHost::add_readiness_check(std::string name, std::function<std::string()> why_not) {
    health_.add(std::move(name), [this, why_not = std::move(why_not)] {
        return is_starting() ? std::string("not open yet") : why_not();
    });
}

Status ServiceHost::open_admin(const Endpoint& address, const std::function<void(http::Server&)>& more) {
    http_ = std::make_unique<http::Server>(http::ServerOptions{.address = address});
    add_routes();
    if (more) more(*http_);
    return http_->start();
}

void ServiceHost::register_metrics() {
    const runtime::BuildInfo& build = runtime::build_info();
    metrics_
        .gauge("postfleet_build_info", "Always 1; the labels say which build this is.",
               {{"version", build.version}, {"commit", build.commit}})
        .set(1);
    metrics_.computed_gauge("postfleet_start_time_seconds", "When the process started, in Unix time.", {},
                            [this] { return static_cast<double>(to_unix_microseconds(started_at_)) / 1e6; });
    metrics_.computed_gauge("postfleet_ready", "1 when the process takes work.", {},
                            [this] { return health_.report().ok ? 1.0 : 0.0; });
    metrics_.computed_gauge("postfleet_log_lines_dropped", "Log lines lost because the log was too slow, since start.",
                            {}, [this] { return static_cast<double>(log_sink_->statistics().dropped); });
    for (net::EpollLoop* loop : loops_->loops()) {
        const Labels labels{{"shard", std::to_string(loop->shard())}};
        metrics_.computed_gauge("postfleet_shard_turns", "Turns of the event loop since start.", labels,
                                [loop] { return static_cast<double>(loop->statistics().turns); });
        metrics_.computed_gauge("postfleet_shard_wakeups", "Wake-ups of the event loop by other threads since start.",
                                labels, [loop] { return static_cast<double>(loop->statistics().wakeups); });
    }
}

void ServiceHost::add_routes() {
    http_->route("GET", "/metrics", [this](const http::Request&, http::Responder answer) {
        answer({.content_type = PrometheusExporter::kContentType, .body = exporter_.text()});
    });
    http_->route("GET", "/healthz/live", [this](const http::Request&, http::Responder answer) {
        const std::vector<std::string> stalled = watchdog_->stalled(steady_clock_now());
        http::Response response{.status = stalled.empty() ? 200 : 503, .content_type = "application/json"};
        JsonWriter json(response.body);
        json.begin_object().member("alive", stalled.empty()).key("reasons").begin_array();
        for (const std::string& reason : stalled) json.value(reason);
        json.end_array().end_object();
        response.body.push_back('\n');
        answer(std::move(response));
    });
    http_->route("GET", "/healthz/ready", [this](const http::Request&, http::Responder answer) {
        const runtime::Health::Report report = health_.report();
        answer({.status = report.ok ? 200 : 503, .content_type = "application/json", .body = report.to_json()});
    });
    http_->route("GET", "/", [](const http::Request&, http::Responder answer) {
        answer({.body = runtime::build_info().to_string() + "\n\n/metrics\n/healthz/live\n/healthz/ready\n"});
    });
}

bool ServiceHost::wait_to_start(const std::function<bool()>& may_start) {
    constexpr Duration kLook = std::chrono::milliseconds(200);
    while (!may_start()) {
        watchdog_->note_main_thread(steady_clock_now());
        main_loop_->await(steady_clock_now() + kLook, may_start);
        if (!main_loop_->stop_reason().empty()) return false;
    }
    return true;
}

void ServiceHost::start_shards() { loops_->start(); }

void ServiceHost::report_running() {
    phase_ = Phase::Running;
    runtime::notify_service_manager("READY=1");
}

void ServiceHost::run(runtime::MainLoop::Hooks hooks) {
    main_loop_->run({.on_reload = std::move(hooks.on_reload), .on_tick = [this, more = std::move(hooks.on_tick)] {
                         tick();
                         if (more) more();
                     }});
    runtime::notify_service_manager("STOPPING=1");
    phase_ = Phase::Stopping;
}

void ServiceHost::tick() {
    const SteadyTime now = steady_clock_now();
    watchdog_->check(now);
    const std::vector<std::string> stalled = watchdog_->stalled(now);
    for (const std::string& who : stalled) log_.line(LogLevel::Error, "stalled").field("who", who);
    if (stalled.empty()) runtime::notify_service_manager("WATCHDOG=1");
    watch_clock();
}

// The shards go on by the time that they believe; somebody should look why.
void ServiceHost::watch_clock() {
    const WallTime system = wall_clock_now();
    const auto off =
        std::chrono::duration_cast<std::chrono::seconds>(system - clock_.read(system, steady_clock_with_suspend()));
    const bool is_in_doubt = off != off.zero();
    if (std::exchange(is_clock_in_doubt_, is_in_doubt) == is_in_doubt) return;
    log_.line(is_in_doubt ? LogLevel::Error : LogLevel::Warning, is_in_doubt ? "clock-jumped" : "clock-settled")
        .field("seconds", off.count())
        .field("then", is_in_doubt ? "mail goes on by the old time, for an hour at most" : "the system's time counts");
}

Drained ServiceHost::await_drain(SteadyTime deadline, const std::function<void(Completion<Status>)>& begin) {
    struct Outcome {
        bool done = false;  // the main thread's
        bool quiet = false;
    };
    // Shared because the completion may come after we have given up.
    auto outcome = std::make_shared<Outcome>();
    begin({&(*loops_)[0], [this, outcome](Status status) {
               const bool quiet = status.has_value();
               main_loop_->post([outcome, quiet] { *outcome = {true, quiet}; });
           }});
    switch (main_loop_->await(deadline + kCompletionGrace, [&] { return outcome->done; })) {
        case runtime::MainLoop::Awaited::Finished: return outcome->quiet ? Drained::Quiet : Drained::TimedOut;
        case runtime::MainLoop::Awaited::TimedOut: return Drained::TimedOut;
        case runtime::MainLoop::Awaited::Hurried: return Drained::Hurried;
    }
    return Drained::TimedOut;
}

void ServiceHost::leave_at_once() {
    log_.line(LogLevel::Warning, "stopped-at-once").field("because", "a second signal");
    log_sink_->flush();
    std::_Exit(1);
}

void ServiceHost::stop_admin() {
    if (http_) http_->stop();
}

void ServiceHost::stop_shards() {
    if (!loops_) return;
    loops_->stop();
    loops_->join();
}

}  // namespace postfleet::service_host
