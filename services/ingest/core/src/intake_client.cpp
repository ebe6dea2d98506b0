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
    user_ = origin_->sends_as != nullptr ? origin_->sends_as : rules_->sends_as;
}

// What may be offered again is bound as before: another sender would not know that it was taken.
std::uint64_t Intake::weight_choice(std::uint32_t task) {
    if (origin_ == nullptr) return shard_.random();
    constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;  // tasks that follow each other are spread evenly
    const MessageId& id = origin_->taken_as ? *origin_->taken_as : origin_->id;
    std::uint64_t choice = 0;
    for (std::size_t i = 8; i < id.octets.size(); ++i) choice = (choice << 8) | id.octets[i];
    return choice + task * kGolden;
}

void Intake::take_origin(Message& message) const {
    if (!origin_->user.empty()) message.user = origin_->user;
    if (origin_->send_at) message.send_at = origin_->send_at;
    if (origin_->expires_at) message.expires_at = origin_->expires_at;
    message.metadata = origin_->metadata;
}

// Only who really connected counts, or who a proxy spoke for; not whom an earlier XCLIENT named.
bool Intake::offers_xclient() const {
    if (rules_->listener.xclient_from.empty()) return false;
    return may_pass_on_ || (has_rights_ && rules_->may_xclient(client_));
}

// The client it is now has to be let in like one that connects, and the place of the one before is free.
smtp::Decision Intake::on_xclient(smtp::XclientRequest&& request) {
    if (auto refusal = become(request)) return std::move(*refusal);
    auto line = shard_.log().line(LogLevel::Info, "xclient");
    line.field("listener", rules_->listener.name);
    name_client(line);
    if (request.name && *request.name) line.field("name", **request.name);
    if (user_ != nullptr) line.field("user", user_->name);
    if (entered_as_) listener_.limits.leave(*std::exchange(entered_as_, std::nullopt));
    return admit();
}

// Nothing has changed when it is refused.
std::optional<smtp::Decision> Intake::become(const smtp::XclientRequest& request) {
    std::shared_ptr<const KnownUser> user;
    if (request.login && *request.login) {
        if (rules_->users != nullptr) user = rules_->users->find(**request.login);
        if (user == nullptr) return refuse(Reason::AuthFailed, 550, {5, 7, 8}, "There is no such user");
    }
    may_pass_on_ = true;
    login_ = nullptr;
    place_ = nullptr;
    user_ = std::move(user);
    if (request.address) {
        if (!proxy_) proxy_ = client_;
        client_ = request.address->value_or(*proxy_);
        has_rights_ = request.address->has_value();
        may_relay_ = has_rights_ && rules_->may_relay(client_);
    }
    if (passed_on_ == nullptr) passed_on_ = std::make_unique<PassedOn>();
    if (request.hello_name) passed_on_->hello_name = request.hello_name->value_or("");
    if (request.extended) passed_on_->extended = request.extended;
    return std::nullopt;
}

smtp::Decision Intake::on_connection() {
    return entered_as_ || origin_ != nullptr ? smtp::Decision::accept() : admit();
}

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
        line.field(origin_->kind, origin_->name);
        return;
    }
    line.field("client", client_.to_string());
    if (proxy_) line.field("proxy", proxy_->to_string());
}

}  // namespace postfleet::ingest
