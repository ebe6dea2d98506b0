// What a DeliverySession tells about TLS with its host, for the reports that the domain may have asked for (RFC 8460).

#include <algorithm>
#include <utility>

#include "delivery_session.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::sender {

namespace {

constexpr std::size_t kMaxDomains = 1000;  // whose session this is counted as

std::string hex_of(const std::string& octets) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (const char c : octets) {
        out += kDigits[static_cast<unsigned char>(c) >> 4];
        out += kDigits[static_cast<unsigned char>(c) & 15];
    }
    return out;
}

tls_report::AppliedPolicy policy_of(const std::vector<TlsaRecord>& records) {
    tls_report::AppliedPolicy policy{.type = tls_report::PolicyType::Tlsa};
    for (const TlsaRecord& record : records) {
        policy.lines.push_back(std::to_string(record.usage) + ' ' + std::to_string(record.selector) + ' ' +
                               std::to_string(record.matching_type) + ' ' + hex_of(record.association));
    }
    return policy;
}

tls_report::AppliedPolicy policy_of(const mta_sts::Policy& policy) {
    tls_report::AppliedPolicy applied{.type = tls_report::PolicyType::Sts, .mx_hosts = policy.mx};
    const std::string text = mta_sts::to_text(policy);
    for (const std::string_view line : split(text, '\n')) {
        if (!line.empty()) applied.lines.emplace_back(line);
    }
    return applied;
}

}  // namespace

std::string_view tls_report_result(TlsFailure failure) {
    switch (failure) {
        case TlsFailure::CertificateExpired: return "certificate-expired";
        case TlsFailure::CertificateHostMismatch: return "certificate-host-mismatch";
        case TlsFailure::CertificateNotTrusted: return "certificate-not-trusted";
        case TlsFailure::None:
        case TlsFailure::CertificateInvalid:
        case TlsFailure::NothingInCommon:
        case TlsFailure::Refused:
        case TlsFailure::NotTls:
        case TlsFailure::PeerClosed:
        case TlsFailure::TimedOut:
        case TlsFailure::Other: break;
    }
    return "validation-failure";
}

tls_report::AppliedPolicy DeliverySession::applied_policy() const {
    if (demand_.policy == "dane") return policy_of(demand_.tlsa);
    const TlsTerms& terms = connector_.destination().tls_terms;
    const bool heeds = settings_->mta_sts && heeds_publications(demand_of(*settings_));
    return terms.sts && heeds ? policy_of(*terms.sts) : tls_report::AppliedPolicy{};
}

void DeliverySession::tally(const std::string& domain, std::string_view result, std::string_view reason) {
    if (domain.starts_with('[')) return;  // an address asks for nothing
    std::optional<tls_report::Failure> failure;
    if (!result.empty()) {
        failure = tls_report::Failure{.result = std::string(result),
                                      .sending_ip = connector_.source_address(),
                                      .mx_host = connector_.mx_host(),
                                      .mx_ip = connector_.peer().address.to_string(),
                                      .reason = std::string(reason)};
    }
    engine_.tls_tallies.add(domain, applied_policy(), failure, shard_.executor->wall_now());
}

// TLS did not come about. It counts for the domain whose mail waits first; that is why there is this session.
void DeliverySession::tally_failure(std::string_view result, std::string_view reason) {
    if (!engine_.tls_tallies.is_on() || demand_.level == TlsLevel::None) return;
    const std::string domain = queue_->waiting_domain(route_);
    if (!domain.empty()) tally(domain, result, reason);
}

// Once for each domain whose mail goes over this session.
void DeliverySession::tally_success() {
    if (!engine_.tls_tallies.is_on() || !smtp_->is_secured()) return;
    tally_success(work_);
    for (const Work& companion : companions_) tally_success(companion);
}

void DeliverySession::tally_success(const Work& work) {
    const bool is_known = std::find(tallied_.begin(), tallied_.end(), work.domain) != tallied_.end();
    if (is_known || tallied_.size() >= kMaxDomains) return;
    tallied_.push_back(work.domain);
    const std::string& domain = work.hot->task.domain;
    const TlsTerms& terms = connector_.destination().tls_terms;
    const bool is_tested = demand_.policy != "dane" && settings_->mta_sts && terms.sts &&
                           terms.sts->mode == mta_sts::Mode::Testing && heeds_publications(demand_);
    if (is_tested && !mta_sts::covers(*terms.sts, connector_.mx_host())) {
        return tally(domain, "validation-failure", "the MX host is not in the policy");
    }
    if (is_tested && !tls_facts_.is_verified) {
        return tally(domain, tls_report_result(tls_facts_.verification), tls_facts_.why_not_verified);
    }
    tally(domain, {}, {});
}

}  // namespace postfleet::sender
