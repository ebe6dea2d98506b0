#include "explain_tls.hpp"

#include <algorithm>
#include <utility>

#include "await.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "postfleet/sender/sts_fetch.hpp"

namespace postfleet::control {

namespace {

constexpr Duration kPatience = DomainQuestion::kPatience;

Result<TxtAnswer> ask_txt(const std::string& name, const DomainPorts& ports) {
    return await<TxtAnswer>(ports.on, kPatience, "DNS",
                            [&](auto done) { ports.resolver.resolve_txt(name, std::move(done)); });
}

const char* outcome_of(const Result<TlsaAnswer>& answer) {
    using Kind = TlsaAnswer::Kind;
    if (!answer || answer->kind == Kind::Temporary) return "temporary";
    if (answer->kind != Kind::Found || answer->records.empty()) return "none";
    return answer->state == DnsState::Secure ? "found" : "not_signed";
}

void add_dane(const TlsQuestion& question, const DomainPorts& ports, JsonWriter& json) {
    json.key("dane").begin_array();
    for (const std::string& host : question.signed_hosts) {
        const auto answer = await<TlsaAnswer>(ports.on, kPatience, "DNS", [&](auto done) {
            ports.resolver.resolve_tlsa("_25._tcp." + host, std::move(done));
        });
        json.begin_object().member("host", host).member("outcome", outcome_of(answer));
        json.member("records", answer ? answer->records.size() : 0).end_object();
    }
    json.end_array();
}

struct Sts {
    const char* outcome = "none";
    std::string text;  // why not
    std::optional<mta_sts::Policy> policy;
};

Sts find_sts(const TlsQuestion& question, const config::Config& config, const DomainPorts& ports) {
    if (question.has_route || ports.http == nullptr) return {};
    const auto record = ask_txt("_mta-sts." + question.domain, ports);
    if (!record) return {"temporary", record.error().text, {}};
    if (record->kind == TxtAnswer::Kind::Temporary) return {"temporary", record->text, {}};
    if (record->kind != TxtAnswer::Kind::Found || !mta_sts::record_id(record->records)) return {};
    sender::StsFetch fetch{question.domain, config.https_client.ca_file, routing::Snapshot::compile(config)};
    auto fetched = await<Result<mta_sts::Policy>>(ports.on, kPatience, "the policy host", [&](auto done) {
        sender::fetch_sts_policy(ports.resolver, *ports.http, std::move(fetch), std::move(done));
    });
    if (!fetched) return {"failed", fetched.error().text, {}};
    if (!*fetched) return {"failed", fetched->error().text, {}};
    return {"found", {}, std::move(**fetched)};
}

void add_sts(const Sts& sts, JsonWriter& json) {
    json.key("mta_sts").begin_object().member("outcome", sts.outcome).member("text", sts.text);
    if (sts.policy) {
        json.member("mode", mta_sts::to_string(sts.policy->mode)).key("mx").begin_array();
        for (const std::string& mx : sts.policy->mx) json.value(mx);
        json.end_array().member("max_age_seconds", sts.policy->max_age.count());
    }
    json.end_object();
}

}  // namespace

void explain_tls(const TlsQuestion& question, const config::Config& config, const DomainPorts& ports,
                 JsonWriter& json) {
    json.key("tls").begin_object();
    add_dane(question, ports, json);
    add_sts(find_sts(question, config, ports), json);
    json.key("tls_rpt").begin_array();
    if (const auto record = ask_txt("_smtp._tls." + question.domain, ports)) {
        for (const std::string& text : record->records) {
            if (text.starts_with("v=TLSRPTv1")) json.value(text);
        }
    }
    json.end_array().end_object();
}

}  // namespace postfleet::control
