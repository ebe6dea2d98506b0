#include "postfleet/ingest/listener_rules.hpp"

#include <algorithm>

#include "postfleet/config/accounting.hpp"

namespace postfleet::ingest {
namespace {

smtp::LineEndPolicy policy_of(config::LineEnds line_ends) {
    switch (line_ends) {
        case config::LineEnds::Strict: return smtp::LineEndPolicy::Strict;
        case config::LineEnds::Normalize: return smtp::LineEndPolicy::Normalize;
    }
    return smtp::LineEndPolicy::Strict;
}

bool any(const config::ArrivalRates& rates) {
    return !rates.connections.is_unlimited() || !rates.messages.is_unlimited() || !rates.recipients.is_unlimited();
}

bool is_in(const std::vector<Network>& networks, const IpAddress& address) {
    return std::any_of(networks.begin(), networks.end(),
                       [&address](const Network& network) { return network.contains(address); });
}

// In the order in which our_domain() looks for one.
std::shared_ptr<const config::Intake> sorted(config::Intake intake) {
    std::sort(intake.domains.begin(), intake.domains.end(),
              [](const config::IntakeDomain& a, const config::IntakeDomain& b) { return a.domain < b.domain; });
    return std::make_shared<const config::Intake>(std::move(intake));
}

// Null: as anybody.
template <class WayIn>
std::shared_ptr<const KnownUser> rights_of(const config::Config& config, const WayIn& way_in) {
    const auto tenant = config.tenants.find(way_in.tenant);
    auto user = std::make_shared<KnownUser>();
    user->send_as = way_in.send_as;
    if (user->send_as.empty() && tenant != config.tenants.end()) user->send_as = tenant->second.send_as;
    if (user->send_as.empty()) return nullptr;
    user->tenant = way_in.tenant;
    user->virtual_mta = way_in.virtual_mta;
    return user;
}

// Mail of programs, as a listener takes it.
template <class WayIn>
config::Listener listener_of(const WayIn& way_in) {
    config::Listener listener;
    listener.name = way_in.name;
    listener.headers = way_in.headers;
    listener.tenant = way_in.tenant;
    listener.line_ends = config::LineEnds::Normalize;
    listener.message_checks = way_in.message_checks;
    listener.remove_bcc = way_in.remove_bcc;
    listener.max_header_size = way_in.max_header_size;
    listener.max_header_field_size = way_in.max_header_field_size;
    listener.max_message_size = way_in.max_message_size;
    listener.max_recipients = way_in.max_recipients;
    listener.mail_merge = true;
    listener.undefined_variables = way_in.undefined_variables;
    return listener;
}

template <class WayIn>
config::Listener listener_of_submissions(const WayIn& way_in) {
    config::Listener listener = listener_of(way_in);
    listener.max_future_release = way_in.max_future_release;
    listener.max_errors = config::kUnlimited;  // every recipient that is refused is named
    listener.mt_priority = true;
    return listener;
}

}  // namespace

std::shared_ptr<const ListenerRules> ListenerRules::make(const config::Config& config, const config::Listener& listener,
                                                         std::shared_ptr<const routing::Snapshot> routing) {
    return make(config, listener, std::move(routing), nullptr, nullptr);
}

std::shared_ptr<const ListenerRules> ListenerRules::make(const config::Config& config, const config::Listener& listener,
                                                         std::shared_ptr<const routing::Snapshot> routing,
                                                         std::shared_ptr<AuthServices> auth,
                                                         std::shared_ptr<const UserDirectory> users) {
    auto rules = std::make_shared<ListenerRules>();
    rules->listener = listener;
    rules->routing = std::move(routing);
    rules->records_server = config::has_receipts(config);
    rules->recorded_headers = config::recorded_headers(config);
    const auto bound_by = rules->routing->wanted_headers();
    rules->wanted_headers.assign(bound_by.begin(), bound_by.end());
    for (const std::string& name : rules->recorded_headers) {
        auto& wanted = rules->wanted_headers;
        if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) wanted.push_back(name);
    }
    rules->log_accepted = config.log.accepted;
    rules->expiry_counts_from = config.expiry_counts_from;
    rules->session.hostname = config.hostname;
    rules->session.line_ends = policy_of(listener.line_ends);
    rules->session.max_message_octets = listener.max_message_size;
    rules->session.max_recipients = listener.max_recipients;
    rules->session.max_messages = listener.max_messages_per_connection;
    rules->session.max_errors = listener.max_errors;
    rules->session.max_unknown_commands = listener.max_unknown_commands;
    rules->session.max_idle_commands = listener.max_idle_commands;
    rules->limits = config.limits;
    rules->has_rates = any(listener.rates) || any(listener.rates_per_client) || any(config.limits.rates);
    if (!config.intake.domains.empty()) rules->our_mail = sorted(config.intake);
    rules->auth = std::move(auth);
    rules->users = std::move(users);
    if (rules->auth != nullptr) rules->session.auth_mechanisms = "SCRAM-SHA-256 PLAIN LOGIN";
    rules->session.auth_binds_channel = true;
    rules->session.auth_without_tls = listener.auth_without_tls;
    rules->session.schedule = {.max_hold = std::chrono::floor<std::chrono::seconds>(listener.max_future_release),
                               .deliver_by = listener.deliver_by,
                               .mt_priority = listener.mt_priority};
    rules->session.offers_require_tls = true;
    rules->session.offers_merge = listener.mail_merge;
    rules->session.offers_starttls = listener.tls == config::ListenerTls::Starttls;
    rules->trusted_session = rules->session;
    rules->trusted_session.max_unknown_commands = rules->trusted_session.max_idle_commands = config::kUnlimited;
    return rules;
}

std::shared_ptr<const ListenerRules> ListenerRules::make(const config::Config& config, const config::Pickup& pickup,
                                                         std::shared_ptr<const routing::Snapshot> routing) {
    auto rules = std::make_shared<ListenerRules>(*make(config, listener_of(pickup), std::move(routing)));
    rules->virtual_mta = pickup.virtual_mta;
    rules->has_rates = false;  // it takes a file when it has the time
    rules->our_mail = nullptr;
    return rules;
}

std::shared_ptr<const ListenerRules> ListenerRules::make(const config::Config& config,
                                                         const config::SubmissionQueue& queue,
                                                         std::shared_ptr<const routing::Snapshot> routing) {
    auto rules = std::make_shared<ListenerRules>(*make(config, listener_of_submissions(queue), std::move(routing)));
    rules->virtual_mta = queue.virtual_mta;
    rules->has_rates = false;  // it takes a submission when it has the time
    rules->our_mail = nullptr;
    rules->sends_as = rights_of(config, queue);
    return rules;
}

std::shared_ptr<const ListenerRules> ListenerRules::make(const config::Config& config, const config::GrpcListener& grpc,
                                                         std::shared_ptr<const routing::Snapshot> routing) {
    auto rules = std::make_shared<ListenerRules>(*make(config, listener_of_submissions(grpc), std::move(routing)));
    rules->virtual_mta = grpc.virtual_mta;
    rules->has_rates = false;  // those of users hold
    rules->our_mail = nullptr;
    rules->sends_as = rights_of(config, grpc);
    return rules;
}

const config::IntakeDomain* ListenerRules::our_domain(std::string_view domain) const {
    if (our_mail == nullptr) return nullptr;
    const auto& domains = our_mail->domains;
    const auto found =
        std::lower_bound(domains.begin(), domains.end(), domain,
                         [](const config::IntakeDomain& ours, std::string_view name) { return ours.domain < name; });
    return found != domains.end() && found->domain == domain ? &*found : nullptr;
}

bool ListenerRules::may_relay(const IpAddress& client) const { return is_in(listener.relay_from, client); }

bool ListenerRules::is_proxy(const IpAddress& peer) const { return is_in(listener.proxy_from, peer); }

bool ListenerRules::may_xclient(const IpAddress& peer) const { return is_in(listener.xclient_from, peer); }

}  // namespace postfleet::ingest
