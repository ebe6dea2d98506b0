#include "tls_policy.hpp"

namespace postfleet::sender {

TlsDemand demand_of(const config::ShapingValues& settings) {
    switch (settings.tls) {
        case config::DeliveryTls::None: return {};
        case config::DeliveryTls::May: return {.level = TlsLevel::Opportunistic, .policy = "may"};
        case config::DeliveryTls::Require: return {.level = TlsLevel::Encrypted, .policy = "require"};
        case config::DeliveryTls::Verify:
            return {.level = TlsLevel::Verified,
                    .authentication = TlsAuthentication::Verified,
                    .names = settings.tls_names,
                    .policy = "verify"};
    }
    return {};
}

TlsDemand on_route(TlsDemand demand, const config::RouteAccess& access, const config::ShapingValues& settings) {
    if (access.is_verified()) {
        return {.level = TlsLevel::Verified,
                .authentication = TlsAuthentication::Verified,
                .names = settings.tls_names,
                .policy = "verify"};
    }
    const bool is_less = demand.level == TlsLevel::None || demand.level == TlsLevel::Opportunistic;
    if (access.is_implicit_tls && is_less) return {.level = TlsLevel::Encrypted, .policy = "require"};
    return demand;
}

bool heeds_publications(const TlsDemand& demand) {
    return demand.level == TlsLevel::Opportunistic || demand.level == TlsLevel::Encrypted;
}

namespace {

// RFC 7672 §3.1.3, RFC 6698 §2.1.
bool is_usable(const TlsaRecord& record) {
    constexpr std::size_t kSha256 = 32, kSha512 = 64;
    if ((record.usage != 2 && record.usage != 3) || record.selector > 1) return false;
    switch (record.matching_type) {
        case 0: return !record.association.empty();
        case 1: return record.association.size() == kSha256;
        case 2: return record.association.size() == kSha512;
        default: return false;
    }
}

}  // namespace

std::optional<TlsDemand> with_tlsa(TlsDemand demand, const std::string& base, TlsaAnswer&& answer) {
    using Kind = TlsaAnswer::Kind;
    if (answer.kind == Kind::Temporary) {
        demand.refusal = "its TLSA records could not be looked up: " + answer.text;
        demand.policy = "dane";
        return demand;
    }
    if (answer.kind != Kind::Found || answer.state != DnsState::Secure || answer.records.empty()) return std::nullopt;
    demand.policy = "dane";
    std::erase_if(answer.records, [](const TlsaRecord& record) { return !is_usable(record); });
    demand.level = answer.records.empty() ? TlsLevel::Encrypted : TlsLevel::Verified;
    if (answer.records.empty()) return demand;
    demand.authentication = TlsAuthentication::Dane;
    demand.server_name = base;
    demand.names.clear();
    demand.tlsa = std::move(answer.records);
    return demand;
}

TlsDemand with_sts(TlsDemand demand, const mta_sts::Policy& policy, const std::string& host) {
    const bool is_settled = demand.authentication == TlsAuthentication::Dane || !demand.refusal.empty();
    if (policy.mode != mta_sts::Mode::Enforce || is_settled) return demand;
    demand.policy = "mta-sts";
    demand.level = TlsLevel::Verified;
    demand.authentication = TlsAuthentication::Verified;
    demand.is_sts = mta_sts::covers(policy, host);
    if (!demand.is_sts) demand.refusal = "the domain's MTA-STS policy does not name it";
    return demand;
}

TlsStep on_greeting(const TlsDemand& demand, const TlsOffer& offer) {
    if (!demand.refusal.empty()) return TlsStep::PassOver;
    const bool can_have_tls = offer.offers_starttls && offer.can_secure;
    switch (demand.level) {
        case TlsLevel::None: return TlsStep::GoOnInClear;
        case TlsLevel::Opportunistic:
            return can_have_tls && !offer.is_known_broken ? TlsStep::Secure : TlsStep::GoOnInClear;
        case TlsLevel::Encrypted:
        case TlsLevel::Verified: return can_have_tls ? TlsStep::Secure : TlsStep::PassOver;
    }
    return TlsStep::PassOver;
}

TlsStep on_trouble(const TlsDemand& demand) {
    return demand.level == TlsLevel::Opportunistic ? TlsStep::TryInClear : TlsStep::PassOver;
}

TlsRules tls_rules_of(const config::ShapingValues& settings) {
    return {.ca_file = settings.tls_ca_file.text,
            .certificate_file = settings.tls_certificate.text,
            .private_key_file = settings.tls_private_key.text,
            .tls12_ciphers = settings.tls_ciphers.text,
            .lowest_version =
                settings.tls_min_version == config::TlsMinVersion::Tls13 ? TlsVersion::Tls13 : TlsVersion::Tls12};
}

}  // namespace postfleet::sender
