#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "checks.hpp"
#include "postfleet/config/accounting.hpp"
#include "postfleet/control/render.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "server.hpp"

namespace postfleet::standalone {

using control::render_status;
using control::StatusParts;

void Server::add_readiness_checks() {
    host_->add_readiness_check("spool", [this]() -> std::string {
        const SpoolState state = spool_->state();
        switch (state.condition) {
            case SpoolCondition::Ready: return "";
            case SpoolCondition::SpaceLow: return "space low: " + state.reason;
            case SpoolCondition::Latched: return "latched: " + state.reason;
        }
        return "unknown";
    });
    host_->add_readiness_check("listeners", [] { return std::string(); });
    if (!config_->submission_queues.empty()) {
        host_->add_readiness_check("submission queues", [this] { return submissions_->obstacle(); });
    }
}

std::string Server::render_status_now(const SenderStatus& sender) {
    const std::lock_guard lock(operations_);
    StatusParts status;
    const runtime::Health::Report report = host_->readiness();
    {
        const std::lock_guard config_lock(config_mutex_);
        status.process.hostname = config_->hostname;
        status.process.config_version = config_->version;
        status.process.config_loaded_at = config_loaded_at_;
    }
    status.process.config_path = config_path_;
    status.process.started_at = host_->started_at();
    status.process.process_id = ::getpid();
    status.process.shards = host_->loops().size();
    status.process.ready = report.ok;
    for (const auto& [name, reason] : report.checks) {
        if (!reason.empty()) status.process.not_ready.push_back(name + ": " + reason);
    }
    status.sender = sender;
    status.spool = spool_->statistics();
    for (const ingest::ListenerStatus& listener : ingest_->listeners()) {
        status.listeners.push_back({listener.name, listener.address.to_string(), listener.connections,
                                    listener.connections_total, listener.messages_total, listener.recipients_total});
    }
    status.reports = feedback_->status();
    return render_status(status, wall_clock_now());
}

std::string Server::banner() const {
    const ConfigPointer config = configuration();
    std::string text = fmt::format("Postfleet {} on {} is ready, with {} shard{} and the configuration in {}.\n\n",
                                   runtime::build_info().version, config->hostname, host_->loops().size(),
                                   host_->loops().size() == 1 ? "" : "s", config_path_);
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
    for (const auto& listener : grpc_->listeners()) add("grpc", listener.address.to_string(), listener.name);
    for (const auto& [name, pickup] : config->pickups) add("pickup", pickup.directory, name);
    for (const auto& [name, queue] : config->submission_queues) {
        add("queue", queue.broker.url.to_string(), name + ", " + queue.queue);
    }
    if (host_->http() != nullptr)
        add("http", host_->http()->local().to_string(), "/metrics, /healthz/live, /healthz/ready");
    add("spool", spool_directory(*config), "");
    for (const config::Report& report : config->reports) add("events", config::place_of(report), "");
    add("control", config->control_socket, "postfleet status, top, show queues …");
    add("log", config->log.path.empty() ? "standard error" : config->log.path, "");
    return text + "\nCtrl-C or SIGTERM stops it; mail that waits stays in the spool.\n";
}

}  // namespace postfleet::standalone
