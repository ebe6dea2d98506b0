#include "postfleet/control/explain_domain.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "await.hpp"
#include "explain_tls.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "postfleet/shaping/settings.hpp"

namespace postfleet::control {

namespace {

using routing::Hop;

struct Findings {
    std::string domain;
    const char* source = "mx";  // route, mx, implicit_mx, literal
    const char* outcome = "found";
    std::string text;  // why not
    std::optional<DnsState> state;
    Duration time_to_live{};
    std::vector<MxHost> hosts;  // as they were answered
    std::vector<Hop> hops;      // as they go into the rules
    routing::Placement placement;
};

const char* word_of(DnsState state) {
    switch (state) {
        case DnsState::Secure: return "secure";
        case DnsState::Insecure: return "insecure";
        case DnsState::Bogus: return "bogus";
    }
    return "";
}

std::int64_t seconds_of(Duration duration) { return std::chrono::ceil<std::chrono::seconds>(duration).count(); }

Result<std::string> domain_of_question(std::string_view text) {
    if (const auto at = text.rfind('@'); at != std::string_view::npos) text.remove_prefix(at + 1);
    if (text.starts_with('[')) return std::string(text);
    return normalize_domain(text);
}

class Asker {
public:
    Asker(Resolver& resolver, Executor& on) : resolver_(resolver), on_(on) {}

    Result<MxAnswer> mx(const std::string& domain) const {
        return await<MxAnswer>(on_, DomainQuestion::kPatience, "DNS",
                               [&](auto done) { resolver_.resolve_mx(domain, std::move(done)); });
    }
    Result<MxAnswer> host(const std::string& name) const {
        return await<MxAnswer>(on_, DomainQuestion::kPatience, "DNS",
                               [&](auto done) { resolver_.resolve_host(name, std::move(done)); });
    }

private:
    Resolver& resolver_;
    Executor& on_;
};

Status ask_route(const std::vector<config::RouteHop>& route, const Asker& asker, Findings& found) {
    found.source = "route";
    std::uint16_t place = 0;
    for (const auto& step : route) {
        MxHost host{place, step.host};
        if (const auto address = IpAddress::parse(step.host)) {
            host.addresses.push_back(*address);
        } else {
            Result<MxAnswer> answer = asker.host(step.host);
            if (!answer) return answer.error();
            if (!answer->hosts.empty()) host = answer->hosts.front();
            else found.text = answer->text;
            host.name = step.host;
            host.preference = place;
        }
        found.hops.push_back({place++, step.host, step.port, host.addresses});
        found.hosts.push_back(std::move(host));
    }
    const auto has_address = [](const Hop& hop) { return !hop.addresses.empty(); };
    if (std::none_of(found.hops.begin(), found.hops.end(), has_address)) found.outcome = "temporary";
    return {};
}

// What the rules make of the hosts that DNS answered, as the sender does it.
void admit(const routing::Snapshot& snapshot, routing::HopsState state, Findings& found) {
    using Verdict = routing::Admission::Verdict;
    auto admitted = snapshot.admit(found.domain, found.hops, state);
    switch (admitted.verdict) {
        case Verdict::Deliverable: break;
        case Verdict::Loop: found.outcome = "loop"; break;
        case Verdict::Private: found.outcome = "private"; break;
        case Verdict::Unknown: found.outcome = "temporary"; break;
    }
    found.text = std::move(admitted.text);
    found.placement = snapshot.place(found.domain, std::move(admitted.hops));
}

Status ask_mx(const routing::Snapshot& snapshot, const Asker& asker, Findings& found) {
    Result<MxAnswer> answer = asker.mx(found.domain);
    if (!answer) return answer.error();
    found.state = answer->state;
    found.time_to_live = answer->time_to_live;
    found.source = found.domain.starts_with('[') ? "literal" : answer->is_implicit ? "implicit_mx" : "mx";
    found.hosts = std::move(answer->hosts);
    switch (answer->kind) {
        case MxAnswer::Kind::NoSuchDomain: found.outcome = "no_such_domain"; break;
        case MxAnswer::Kind::NullMx: found.outcome = "null_mx"; break;
        case MxAnswer::Kind::Temporary: found.outcome = "temporary"; break;
        case MxAnswer::Kind::Found:
            for (const MxHost& host : found.hosts)
                found.hops.push_back({host.preference, host.name, 25, host.addresses});
            admit(snapshot, answer->is_partial ? routing::HopsState::Partial : routing::HopsState::Complete, found);
            return {};
    }
    found.text = std::move(answer->text);
    found.placement = snapshot.place(found.domain, {});
    return {};
}

void render_host(JsonWriter& json, const MxHost& host, const Hop& hop, const Findings& found) {
    const auto& used = found.placement.hops;
    const auto it = std::find_if(used.begin(), used.end(), [&](const Hop& other) {
        return other.host == hop.host && other.preference == hop.preference && other.port == hop.port;
    });
    json.begin_object().member("preference", host.preference).member("name", hop.host).member("port", hop.port);
    json.member("dnssec", word_of(host.state)).member("ttl_seconds", seconds_of(host.time_to_live));
    if (!host.canonical_name.empty()) json.member("canonical_name", host.canonical_name);
    json.member("used", it != used.end()).key("addresses").begin_array();
    for (const IpAddress& address : hop.addresses) {
        const bool is_used =
            it != used.end() && std::find(it->addresses.begin(), it->addresses.end(), address) != it->addresses.end();
        json.begin_object().member("address", address.to_string()).member("used", is_used);
        json.member("reserved", address.is_reserved()).end_object();
    }
    json.end_array().end_object();
}

// Its hosts whose names and addresses DNSSEC vouches for all the way.
TlsQuestion tls_question(const Findings& found) {
    TlsQuestion question{.domain = found.domain, .has_route = std::string_view(found.source) == "route"};
    for (const MxHost& host : found.hosts) {
        const bool is_signed = found.state == DnsState::Secure && host.state == DnsState::Secure;
        if (is_signed && !host.addresses.empty()) question.signed_hosts.push_back(host.name);
    }
    return question;
}

std::string render(const Findings& found, const config::Config& config, const std::string& virtual_mta,
                   const DomainPorts& ports) {
    std::string text;
    JsonWriter json(text);
    const auto& placement = found.placement;
    json.begin_object().member("domain", found.domain).member("outcome", found.outcome).member("text", found.text);
    json.member("source", found.source).member("ttl_seconds", seconds_of(found.time_to_live));
    if (found.state) json.member("dnssec", word_of(*found.state));
    json.key("hosts").begin_array();
    for (std::size_t i = 0; i < found.hosts.size() && i < found.hops.size(); ++i) {
        render_host(json, found.hosts[i], found.hops[i], found);
    }
    json.end_array();
    json.member("site", placement.site).member("provider", placement.provider).member("why", placement.why);
    if (placement.origin.line > 0) json.member("origin", placement.origin.to_string());
    json.member("shipped", !placement.provider.empty() && placement.origin.line == 0);
    json.key("queues").begin_array();
    for (const auto& [name, identity] : config.virtual_mtas) json.value(placement.site + "/" + name);
    json.end_array();
    if (std::string_view(found.outcome) == "found") explain_tls(tls_question(found), config, ports, json);
    json.member("settings_of", placement.site + "/" + virtual_mta).key("settings").begin_array();
    const shaping::QueueIdentity queue{
        .site = placement.site, .virtual_mta = virtual_mta, .domain = found.domain, .tenant = {}};
    for (const shaping::ExplainedKey& key : shaping::explain(config, queue)) {
        if (key.is_default) continue;
        json.begin_object().member("key", key.key).member("value", key.value);
        json.member("origin", key.origin.to_string()).member("rule", key.rule).end_object();
    }
    json.end_array().end_object();
    return text;
}

// The virtual MTA whose settings are told.
Result<std::string> chosen_virtual_mta(const std::string& wanted, const config::Config& config) {
    if (!wanted.empty()) {
        if (config.virtual_mtas.contains(wanted)) return wanted;
        return Error{ErrorKind::NotFound, "there is no virtual MTA '" + printable(wanted, 64) + "'"};
    }
    const auto pool = config.pools.find(config.default_virtual_mta);
    return pool == config.pools.end() ? config.default_virtual_mta : pool->second.members.front().first;
}

}  // namespace

Result<std::string> explain_domain(const DomainQuestion& question, const config::Config& config,
                                   const DomainPorts& ports) {
    Result<std::string> domain = domain_of_question(question.domain);
    if (!domain) return domain.error();
    Result<std::string> virtual_mta = chosen_virtual_mta(question.virtual_mta, config);
    if (!virtual_mta) return virtual_mta.error();
    const auto snapshot = routing::Snapshot::compile(config);
    const Asker asker(ports.resolver, ports.on);
    Findings found;
    found.domain = std::move(*domain);
    if (const auto* route = snapshot->find_route(found.domain)) {
        if (Status asked = ask_route(*route, asker, found); !asked) return asked.error();
        found.placement = snapshot->place(found.domain, found.hops);
    } else if (Status asked = ask_mx(*snapshot, asker, found); !asked) {
        return asked.error();
    }
    return render(found, config, *virtual_mta, ports);
}

}  // namespace postfleet::control
