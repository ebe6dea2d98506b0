// What the control protocol answers with, as JSON. Every list is an array of flat objects; absent members are
// unknown values. Numbers are numbers, times RFC 3339, ages and rates seconds. `--json` shows exactly this.
#pragma once

#include <string>
#include <vector>

#include "postfleet/reporting/event_carrier.hpp"
#include "postfleet/ports/sender_control.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/shaping/settings.hpp"

namespace postfleet::control {

struct ProcessStatus {
    std::string hostname, config_path, config_version;
    WallTime started_at{}, config_loaded_at{};
    int process_id = 0;
    std::size_t shards = 0;
    bool ready = false;
    std::vector<std::string> not_ready;  // reasons
};

// What a listener has done; the process that has some says it.
struct ListenerCounts {
    std::string name, address;
    std::uint64_t connections = 0, connections_total = 0, messages_total = 0, recipients_total = 0;
};

struct StatusParts {
    ProcessStatus process;
    SenderStatus sender;
    Spool::Statistics spool;
    std::vector<ListenerCounts> listeners;
    std::vector<reporting::SinkStatus> reports;
};

std::string render_status(const StatusParts& status, WallTime now);
std::string render_queues(const std::vector<QueueStatus>& queues, std::size_t total);
// Each with what it may be and where that is set.
std::string render_limits(const std::vector<LimitStatus>& limits, const config::Config& config);
std::string render_virtual_mtas(const std::vector<VirtualMtaStatus>& virtual_mtas);
std::string render_tasks(const std::vector<QueuedTask>& tasks, bool more);
// Lines of a trace; `several`: of more than one session.
std::string render_trace(const TracePart& part, bool several);
// "google/promo-1": the effective settings of one queue; InvalidArgument when it names no virtual MTA of ours.
Result<std::vector<shaping::ExplainedKey>> explain_queue(const config::Config& config, const std::string& queue);
// Those of the configuration, then the shipped ones that it has no other of.
std::string render_providers(const config::Config& config);
std::string render_settings(const std::string& queue, const std::vector<shaping::ExplainedKey>& keys);

}  // namespace postfleet::control
