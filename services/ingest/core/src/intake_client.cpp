// Whose connection it is, and whether there is room for it.
#include <utility>

#include "postfleet/ingest/intake.hpp"

namespace postfleet::ingest {

void Intake::proxied_for(const std::optional<IpAddress>& client) {
    require(!entered_as_ && !proxy_);
    proxy_ = std::exchange(client_, client.value_or(client_));
    has_rights_ = client.has_value();
    may_relay_ = has_rights_ && rules_->may_relay(client_);
}

void Intake::set_origin(MessageOrigin origin) {
    origin_ = std::make_unique<const MessageOrigin>(std::move(origin));
    may_relay_ = true;
}

smtp::Decision Intake::on_connection() { return entered_as_ || origin_ != nullptr ? smtp::Decision::accept() : admit(); }

smtp::Decision Intake::admit() {
    const auto& listener = rules_->listener;
    const IpAddress network = client_network();
    if (auto refusal = check_client()) return std::move(*refusal);
    switch (listener_.limits.enter(network, {listener.max_connections, listener.max_connections_per_client})) {
        case ConnectionLimits::Verdict::Entered: break;
        case ConnectionLimits::Verdict::TooMany:
            return refuse(Reason::TooManyConnections, 421, {4, 3, 2}, "Too many connections, try later");
        case ConnectionLimits::Verdict::TooManyOfClient:
            return refuse(Reason::TooManyConnectionsOfClient, 421, {4, 7, 0},
                          "Too many connections from your network: " +
                              std::to_string(listener.max_connections_per_client) + " at the same time");
    }
    entered_as_ = network;
    if (auto refusal = throttle(Arrival::Connection)) return std::move(*refusal);
    listener_.counters.connections.add();
    return smtp::Decision::accept();
}

void Intake::refuse_unheard(Reason reason, std::string_view text) {
    shard_.counters().refused(reason);
    auto line = shard_.log().line(LogLevel::Info, "refused");
    line.field("listener", rules_->listener.name);
    name_client(line);
    line.field("reason", to_string(reason)).field("text", text);
}

void Intake::name_client(Log::Line& line) const {
    if (origin_ != nullptr) {
        line.field("file", origin_->file);
        return;
    }
    line.field("client", client_.to_string());
    if (proxy_) line.field("proxy", proxy_->to_string());
}

}  // namespace postfleet::ingest
