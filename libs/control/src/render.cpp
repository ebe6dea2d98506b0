#include "postfleet/control/render.hpp"

#include "postfleet/config/shipped_providers.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/runtime/build_info.hpp"

namespace postfleet::control {
namespace {

void text_if_known(JsonWriter& json, const char* name, const std::string& text) {
    if (!text.empty()) json.member(name, text);
}

double seconds_between(WallTime from, WallTime to) { return std::chrono::duration<double>(to - from).count(); }

void write_process(JsonWriter& json, const ProcessStatus& process, WallTime now) {
    json.key("process").begin_object();
    json.member("version", runtime::build_info().version);
    text_if_known(json, "commit", runtime::build_info().commit);
    json.member("hostname", process.hostname).member("pid", process.process_id).member("shards", process.shards);
    json.member("started_at", format_rfc3339(process.started_at));
    json.member("uptime_seconds", seconds_between(process.started_at, now));
    json.member("config_path", process.config_path).member("config_version", process.config_version);
    json.member("config_loaded_at", format_rfc3339(process.config_loaded_at));
    json.end_object();
}

void write_sender(JsonWriter& json, const SenderStatus& sender, WallTime now) {
    json.key("sender").begin_object();
    json.member("queued_recipients", sender.queued_recipients).member("ready", sender.ready);
    json.member("waiting", sender.waiting).member("in_flight", sender.in_flight).member("held", sender.held);
    json.member("queues", sender.queues).member("connections", sender.connections);
    json.member("accepted_messages", sender.accepted_messages).member("delivered", sender.delivered);
    json.member("deferred", sender.deferred).member("bounced", sender.bounced);
    json.member("expired", sender.expired).member("cancelled", sender.cancelled);
    json.member("accepted_per_second", sender.accepted_per_second);
    json.member("delivered_per_second", sender.delivered_per_second);
    if (sender.oldest_queued) {
        json.member("oldest_queued_at", format_rfc3339(*sender.oldest_queued));
        json.member("oldest_queued_seconds", seconds_between(*sender.oldest_queued, now));
    }
    json.end_object();
}

void write_spool(JsonWriter& json, const SenderStatus& sender, const Spool::Statistics& spool) {
    json.key("spool").begin_object();
    json.member("condition", sender.spool_condition);
    text_if_known(json, "reason", sender.spool_reason);
    json.member("free_octets", spool.free_octets).member("octets_in_flight", spool.octets_in_flight);
    json.member("commits", spool.commits).member("synced_writes", spool.synced_writes);
    json.member("octets_written", spool.octets_written).member("latches", spool.latches);
    json.member("quarantined", spool.quarantined).member("sync_seconds_total", spool.sync_seconds_total);
    json.end_object();
}

void write_recipient(JsonWriter& json, const Recipient& recipient) {
    json.begin_object().member("index", recipient.index).member("address", recipient.address);
    json.member("attempts", recipient.attempts);
    if (recipient.last_reply) json.member("last_reply", recipient.last_reply->to_string());
    text_if_known(json, "last_mx", recipient.last_mx);
    json.end_object();
}

}  // namespace

std::string render_status(const StatusParts& status, WallTime now) {
    std::string text;
    JsonWriter json(text);
    json.begin_object();
    json.member("ready", status.process.ready).key("not_ready").begin_array();
    for (const std::string& reason : status.process.not_ready) json.value(reason);
    json.end_array();
    write_process(json, status.process, now);
    write_sender(json, status.sender, now);
    write_spool(json, status.sender, status.spool);
    json.key("listeners").begin_array();
    for (const ListenerCounts& listener : status.listeners) {
        json.begin_object().member("name", listener.name).member("address", listener.address);
        json.member("connections", listener.connections).member("connections_total", listener.connections_total);
        json.member("messages_total", listener.messages_total);
        json.member("recipients_total", listener.recipients_total).end_object();
    }
    json.end_array().key("reports").begin_array();
    for (const reporting::SinkStatus& sink : status.reports) {
        json.begin_object().member("name", sink.name).member("written", sink.written);
        json.member("lag_events", sink.lag_events).member("errors", sink.errors);
        json.member("dropped", sink.dropped).member("is_full", sink.is_full);
        text_if_known(json, "last_error", sink.last_error);
        json.end_object();
    }
    json.end_array().end_object();
    return text;
}

std::string render_queues(const std::vector<QueueStatus>& queues, std::size_t total) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("total", total).key("queues").begin_array();
    for (const QueueStatus& queue : queues) {
        json.begin_object().member("name", queue.name).member("site", queue.site);
        json.member("virtual_mta", queue.virtual_mta).member("ready", queue.ready).member("waiting", queue.waiting);
        json.member("held", queue.held).member("in_flight", queue.in_flight).member("connections", queue.connections);
        json.member("delivered", queue.delivered).member("deferred", queue.deferred);
        json.member("bounced", queue.bounced).member("expired", queue.expired);
        json.member("delivered_per_second", queue.delivered_per_second).member("paused", queue.paused);
        text_if_known(json, "hold_reason", queue.hold_reason);
        json.member("mode", queue.backoff_since ? "backoff" : "normal");
        if (queue.backoff_since) json.member("backoff_since", format_rfc3339(*queue.backoff_since));
        if (queue.backoff_until) json.member("backoff_until", format_rfc3339(*queue.backoff_until));
        text_if_known(json, "backoff_reason", queue.backoff_reason);
        text_if_known(json, "warm_up", queue.warm_up);
        if (queue.next_due) json.member("next_due", format_rfc3339(*queue.next_due));
        text_if_known(json, "last_reply", queue.last_reply);
        json.end_object();
    }
    json.end_array().end_object();
    return text;
}

namespace {

const char* scope_name(LimitScope scope) {
    switch (scope) {
        case LimitScope::Total: return "total";
        case LimitScope::Provider: return "provider";
        case LimitScope::VirtualMta: return "virtual_mta";
        case LimitScope::Source: return "source";
        case LimitScope::SourceAtSite: return "source_at_site";
        case LimitScope::Destination: return "destination";
    }
    return "";
}

// Where its keys are; those of addresses at a site and of servers come from shaping rules, which differ by queue.
std::string path_of(const LimitStatus& limit) {
    switch (limit.scope) {
        case LimitScope::Total: return "outbound";
        case LimitScope::Provider: return "providers." + limit.name;
        case LimitScope::VirtualMta: return "virtual_mtas." + limit.name;
        case LimitScope::Source: return "outbound.per_source";
        case LimitScope::SourceAtSite:
        case LimitScope::Destination: break;
    }
    return {};
}

}  // namespace

std::string render_limits(const std::vector<LimitStatus>& limits, const config::Config& config) {
    std::string text;
    JsonWriter json(text);
    json.begin_array();
    for (const LimitStatus& limit : limits) {
        const std::string path = path_of(limit);
        json.begin_object().member("scope", scope_name(limit.scope));
        text_if_known(json, "name", limit.name);
        json.member("connections", limit.connections).member("queues_waiting", limit.queues_waiting);
        if (limit.next_message_in) {
            json.member("next_message_seconds", std::chrono::duration<double>(*limit.next_message_in).count());
        }
        json.key("limits").begin_array();
        const auto add = [&](const char* key, const std::string& value) {
            if (value.empty()) return;
            json.begin_object().member("key", key).member("value", value);
            const auto origin = config.origins.find(path + "." + key);
            if (origin != config.origins.end()) json.member("origin", origin->second.to_string());
            json.end_object();
        };
        add("max_connections", limit.max_connections ? std::to_string(*limit.max_connections) : "");
        add("max_message_rate", limit.max_message_rate);
        add("max_connect_rate", limit.max_connect_rate);
        add("max_data_rate", limit.max_data_rate);
        json.end_array().end_object();
    }
    json.end_array();
    return text;
}

std::string render_virtual_mtas(const std::vector<VirtualMtaStatus>& virtual_mtas) {
    std::string text;
    JsonWriter json(text);
    json.begin_array();
    for (const VirtualMtaStatus& vmta : virtual_mtas) {
        json.begin_object().member("name", vmta.name).key("sources").begin_array();
        for (const std::string& source : vmta.sources) json.value(source);
        json.end_array().member("ehlo", vmta.ehlo).member("enabled", vmta.enabled);
        text_if_known(json, "disabled_reason", vmta.disabled_reason);
        json.member("queued", vmta.queued).member("queues", vmta.queues).member("connections", vmta.connections);
        json.member("delivered", vmta.delivered).member("deferred", vmta.deferred).member("bounced", vmta.bounced);
        if (vmta.warm_up_day > 0) json.member("warm_up_day", vmta.warm_up_day);
        json.key("disabled_sources").begin_array();
        for (const DisabledSource& disabled : vmta.disabled_sources) {
            json.begin_object().member("source", disabled.source);
            if (disabled.site != "*") json.member("site", disabled.site);
            json.member("reason", disabled.reason);
            if (disabled.until) json.member("until", format_rfc3339(*disabled.until));
            json.end_object();
        }
        json.end_array().end_object();
    }
    json.end_array();
    return text;
}

std::string render_tasks(const std::vector<QueuedTask>& tasks, bool more) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("more", more).key("tasks").begin_array();
    for (const QueuedTask& queued : tasks) {
        const Task& task = queued.task;
        json.begin_object().member("message_id", task.key.message.to_string()).member("task", task.key.number);
        json.member("queue", queued.queue).member("state", queued.state).member("domain", task.domain);
        json.member("virtual_mta", task.virtual_mta);
        text_if_known(json, "pool", task.pool);
        json.member("mail_from", queued.message->reverse_path);
        json.member("tenant", task.tenant);
        text_if_known(json, "job", task.job);
        json.member("size_octets", task.size_octets).member("accepted_at", format_rfc3339(task.accepted_at));
        json.member("due", format_rfc3339(task.due));
        if (task.expires_at) json.member("expires_at", format_rfc3339(*task.expires_at));
        json.key("recipients").begin_array();
        for (const Recipient& recipient : task.recipients) write_recipient(json, recipient);
        json.end_array().end_object();
    }
    json.end_array().end_object();
    return text;
}

std::string render_trace(const TracePart& part, bool several) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("over", part.is_over).member("sessions", part.sessions);
    json.member("several", several).member("left_out", part.left_out).key("lines").begin_array();
    for (const TraceLine& line : part.lines) {
        const char* direction = line.direction == TraceLine::Direction::Note   ? "note"
                                : line.direction == TraceLine::Direction::Sent ? "sent"
                                                                               : "received";
        json.begin_object().member("time", format_rfc3339(line.time)).member("session", line.session);
        json.member("direction", direction).member("text", line.text).end_object();
    }
    json.end_array().end_object();
    return text;
}

Result<std::vector<shaping::ExplainedKey>> explain_queue(const config::Config& config, const std::string& queue) {
    const std::size_t slash = queue.rfind('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == queue.size()) {
        return Error{ErrorKind::InvalidArgument,
                     "a queue is SITE/VMTA, for example google/tx-1, not '" + printable(queue, 64) + "'"};
    }
    const std::string virtual_mta = queue.substr(slash + 1);
    if (!config.virtual_mtas.contains(virtual_mta)) {
        std::string known;
        for (const auto& [name, vmta] : config.virtual_mtas) known += (known.empty() ? "" : ", ") + name;
        return Error{ErrorKind::NotFound, "there is no virtual MTA '" + printable(virtual_mta, 64) +
                                              "'; the configuration has: " + printable(known, 300)};
    }
    const shaping::QueueIdentity identity{
        .site = std::string_view(queue).substr(0, slash), .virtual_mta = virtual_mta, .domain = {}, .tenant = {}};
    auto keys = shaping::explain(config, identity);
    for (shaping::ExplainedKey& shared : shaping::explain_shared(config, identity)) keys.push_back(std::move(shared));
    return keys;
}

namespace {

void render_provider(JsonWriter& json, const config::Provider& provider) {
    std::string what;
    const auto add = [&](const char* kind, const std::string& text) {
        what += (what.empty() ? "" : ", ") + std::string(kind) + text;
    };
    for (const auto& wildcard : provider.mx) add("", wildcard);
    if (provider.match == config::ProviderMatch::All) what += " (all of them)";
    for (const auto& domain : provider.domains) add("domain ", domain);
    for (const auto& network : provider.addresses) add("address ", network.to_string());
    json.begin_object().member("name", provider.name).member("what", what);
    if (provider.origin.line > 0) json.member("origin", provider.origin.to_string());
    json.end_object();
}

}  // namespace

std::string render_providers(const config::Config& config) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("providers").begin_array();
    for (const auto& [name, provider] : config.providers) {
        if (provider.names_hosts()) render_provider(json, provider);
    }
    if (config.shipped_providers) {
        for (const auto& [name, provider] : config::shipped_providers()) {
            const auto own = config.providers.find(name);
            if (own == config.providers.end() || !own->second.names_hosts()) render_provider(json, provider);
        }
    }
    json.end_array().end_object();
    return text;
}

std::string render_settings(const std::string& queue, const std::vector<shaping::ExplainedKey>& keys) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("queue", queue).key("settings").begin_array();
    for (const shaping::ExplainedKey& key : keys) {
        json.begin_object().member("key", key.key).member("value", key.value).member("default", key.is_default);
        if (!key.is_default) json.member("origin", key.origin.to_string()).member("rule", key.rule);
        json.end_object();
    }
    json.end_array().end_object();
    return text;
}

}  // namespace postfleet::control
