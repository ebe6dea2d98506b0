#include "postfleet/report/cloud_event.hpp"

#include <algorithm>

#include "postfleet/base/json.hpp"
#include "postfleet/base/network.hpp"

namespace postfleet::report {
namespace {

void member_if_known(JsonWriter& json, const char* name, const std::string& text) {
    if (!text.empty()) json.member(name, text);
}

void member_if_known(JsonWriter& json, const char* name, const std::optional<WallTime>& time) {
    if (time) json.member(name, format_rfc3339(*time));
}

// What the recipients of a message have in common.
void write_message(JsonWriter& json, const Message& message) {
    json.member("message_id", message.id.to_string());
    member_if_known(json, "rfc_message_id", message.header_message_id);
    member_if_known(json, "envelope_id", message.envelope_id);
    json.member("sender", message.reverse_path);  // "" is the null reverse-path, a value of its own
    member_if_known(json, "from", message.header_from);
    member_if_known(json, "subject", message.header_subject);
    json.member("tenant", message.tenant);
    member_if_known(json, "job", message.job);
    member_if_known(json, "user", message.user);
    if (!message.template_reference.name.empty()) {
        json.key("template").begin_object();
        json.member("name", message.template_reference.name);
        json.member("version", message.template_reference.version);
        json.end_object();
    }
    if (!message.metadata.empty()) {
        json.key("metadata").begin_object();
        for (const auto& [name, value] : message.metadata) json.member(name, value);
        json.end_object();
    }
    member_if_known(json, "listener", message.listener);
    member_if_known(json, "client_address", message.client_address);
    json.member("accepted_at", format_rfc3339(message.accepted_at));
    member_if_known(json, "send_at", message.send_at);
    json.member("size_octets", message.size_octets);
}

// "TLSv1.3/TLS_AES_128_GCM_SHA256/may/none": version, cipher, the policy that decided, and what was verified.
void write_tls(JsonWriter& json, std::string_view tls) {
    if (tls.empty()) return;
    json.key("tls").begin_object();
    for (const char* name : {"version", "cipher", "policy", "verified"}) {
        const std::string_view part = tls.substr(0, tls.find('/'));
        if (!part.empty()) json.member(name, part);
        tls.remove_prefix(std::min(tls.size(), part.size() + 1));
    }
    json.end_object();
}

void write_delivery(JsonWriter& json, const DeliveryFacts& facts) {
    json.key("delivery").begin_object();
    member_if_known(json, "mx_host", facts.mx_host);
    if (const Result<Endpoint> mx = Endpoint::parse(facts.mx_address)) {
        json.member("mx_ip", mx->address.to_string());
        json.member("mx_port", mx->port);
    }
    write_tls(json, facts.tls);
    // 0: no reply came; the response then says what happened instead.
    if (facts.reply.code != 0) json.member("code", facts.reply.code);
    if (facts.reply.enhanced) json.member("enhanced_code", facts.reply.enhanced.to_string());
    member_if_known(json, "response", facts.reply.text);
    if (facts.phase != SmtpPhase::None) json.member("phase", to_string(facts.phase));
    if (facts.in_doubt) json.member("in_doubt", true);
    json.member("duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(facts.elapsed).count());
    json.end_object();
}

void write_bounce(JsonWriter& json, const BounceFacts& facts) {
    json.key("bounce").begin_object();
    json.member("type", facts.type.empty() ? std::string("undetermined") : facts.type);
    member_if_known(json, "category", facts.category);
    json.member("async", facts.asynchronous);
    json.end_object();
}

void write_data(JsonWriter& json, const Event& event, std::uint64_t sequence) {
    json.key("data").begin_object();
    if (event.message) write_message(json, *event.message);
    member_if_known(json, "recipient", event.recipient);
    member_if_known(json, "original_recipient", event.original_recipient);
    const std::string& pool = event.pool.empty() && event.message ? event.message->pool : event.pool;
    member_if_known(json, "virtual_mta", event.virtual_mta);
    member_if_known(json, "pool", pool);
    member_if_known(json, "queue", event.queue);
    if (event.delivery) member_if_known(json, "source_ip", event.delivery->source_address);
    if (event.message) json.member("attempt", event.attempt);
    json.member("sequence", sequence);
    member_if_known(json, "next_attempt_at", event.next_attempt_at);
    member_if_known(json, "reason", event.reason);
    if (event.delivery) write_delivery(json, *event.delivery);
    if (event.bounce) write_bounce(json, *event.bounce);
    json.end_object();
}

std::string subject_of(const Event& event) {
    if (event.message) return event.message->id.to_string() + "/" + std::to_string(event.recipient_index);
    return event.queue.empty() ? event.virtual_mta : event.queue;
}

}  // namespace

void render_cloud_event(const Event& event, std::uint64_t sequence, const Source& source, std::string& out) {
    JsonWriter json(out);
    json.begin_object();
    json.member("specversion", kCloudEventsVersion);
    json.member("id", event.id.to_string());
    json.member("type", to_string(event.type));
    json.member("source", source.uri);
    member_if_known(json, "subject", subject_of(event));
    json.member("time", format_rfc3339(event.time));
    json.member("datacontenttype", "application/json");
    write_data(json, event, sequence);
    json.end_object();
}

}  // namespace postfleet::report
