#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "../control/render.hpp"
#include "checks.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "server.hpp"

namespace postfleet::standalone {

void Server::register_metrics() {
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

void Server::add_readiness_checks() {
    health_.add("process", [this]() -> std::string {
        if (draining_) return "stopping";
        return starting_ ? "starting" : "";
    });
    health_.add("spool", [this]() -> std::string {
        if (starting_) return "not open yet";
        const SpoolState state = spool_->state();
        switch (state.condition) {
            case SpoolCondition::Ready: return "";
            case SpoolCondition::SpaceLow: return "space low: " + state.reason;
            case SpoolCondition::Latched: return "latched: " + state.reason;
        }
        return "unknown";
    });
    health_.add("listeners", [this]() -> std::string { return starting_ ? "not open yet" : ""; });
    health_.add("shards", [this]() -> std::string {
        const std::vector<std::string> stalled = watchdog_->stalled(steady_clock_now());
        return stalled.empty() ? "" : stalled.front();
    });
}

void Server::add_admin_routes() {
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

std::string Server::render_status_now(const SenderStatus& sender) {
    const std::lock_guard lock(operations_);
    StatusParts status;
    const runtime::Health::Report report = health_.report();
    {
        const std::lock_guard config_lock(config_mutex_);
        status.process.hostname = config_->hostname;
        status.process.config_version = config_->version;
        status.process.config_loaded_at = config_loaded_at_;
    }
    status.process.config_path = config_path_;
    status.process.started_at = started_at_;
    status.process.process_id = ::getpid();
    status.process.shards = loops_->size();
    status.process.ready = report.ok;
    for (const auto& [name, reason] : report.checks) {
        if (!reason.empty()) status.process.not_ready.push_back(name + ": " + reason);
    }
    status.sender = sender;
    status.spool = spool_->statistics();
    status.listeners = ingest_->listeners();
    status.reports = feedback_->status();
    return render_status(status, wall_clock_now());
}

std::string Server::banner() const {
    const ConfigPointer config = configuration();
    std::string text = fmt::format("Postfleet {} on {} is ready, with {} shard{} and the configuration in {}.\n\n",
                                   runtime::build_info().version, config->hostname, loops_->size(),
                                   loops_->size() == 1 ? "" : "s", config_path_);
    const auto add = [&](const char* what, const std::string& where, const std::string& more) {
        text += fmt::format("  {:<8} {:<24} {}", what, where, more);
        while (text.ends_with(' ')) text.pop_back();
        text += '\n';
    };
    for (const ingest::ListenerStatus& listener : ingest_->listeners()) {
        std::string networks;
        for (const Network& network : config->listeners.at(listener.name).relay_from) {
            networks += (networks.empty() ? "" : ", ") + network.to_string();
        }
        add("smtp", listener.address.to_string(),
            listener.name + (networks.empty() ? ", relays for nobody" : ", relays for " + networks));
    }
    for (const auto& [name, pickup] : config->pickups) add("pickup", pickup.directory, name);
    if (http_) add("http", http_->local().to_string(), "/metrics, /healthz/live, /healthz/ready");
    add("spool", spool_directory(*config), "");
    for (const config::FileReport& report : config->file_reports) add("events", report.path, "");
    add("control", config->control_socket, "postfleet status, top, show queues …");
    add("log", config->log.path.empty() ? "standard error" : config->log.path, "");
    return text + "\nCtrl-C or SIGTERM stops it; mail that waits stays in the spool.\n";
}

}  // namespace postfleet::standalone
