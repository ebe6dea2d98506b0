// TLS of a DeliverySession: whether to ask for it, what its failure leads to. The decisions are tls_policy's.

#include <utility>

#include "delivery_session.hpp"

namespace postfleet::sender {

namespace {

// Connections that may share a TLS session: the same host and address, from the same identity.
std::string session_key_of(const std::string& identity, const std::string& address) { return identity + ' ' + address; }

}  // namespace

// What TLS has to be with this host. What it has published is looked up while it greets us.
void DeliverySession::find_demand() {
    demand_ = demand_of(*settings_);
    const auto& access = connector_.access();
    if (access) demand_ = on_route(std::move(demand_), *access, *settings_);
    waits_for_demand_ = false;
    const bool is_tls_first = access && access->is_implicit_tls;  // before TLSA records could be known
    const bool heeds = !is_tls_first && heeds_publications(demand_) && !connector_.destination().tls_terms.is_waived;
    is_demand_known_ = !heeds || connector_.tlsa_bases().empty();
    if (!is_demand_known_) ask_tlsa(0);
    else if (heeds) apply_sts();
}

void DeliverySession::apply_sts() {
    const auto& policy = connector_.destination().tls_terms.sts;
    if (policy && settings_->mta_sts) demand_ = with_sts(std::move(demand_), *policy, connector_.mx_host());
}

void DeliverySession::ask_tlsa(std::size_t base) {
    const std::string name = "_" + std::to_string(connector_.peer().port) + "._tcp." + connector_.tlsa_bases()[base];
    engine_.dependencies.resolver.resolve_tlsa(
        name, {shard_.executor, [self = shared_from_this(), base, question = ++question_](TlsaAnswer answer) {
                   if (self->question_ == question && self->phase_ == Phase::Opening) {
                       self->on_tlsa(base, std::move(answer));
                   }
               }});
}

void DeliverySession::on_tlsa(std::size_t base, TlsaAnswer&& answer) {
    auto demand = with_tlsa(demand_, connector_.tlsa_bases()[base], std::move(answer));
    if (!demand && base + 1 < connector_.tlsa_bases().size()) return ask_tlsa(base + 1);
    if (demand) demand_ = std::move(*demand);
    apply_sts();
    is_demand_known_ = true;
    if (!waits_for_demand_) return;
    waits_for_demand_ = false;
    on_greeted();
    if (phase_ != Phase::Gone && std::exchange(wants_work_, false)) next_work();
    if (phase_ == Phase::Gone || !stream_) return;
    flush();
    set_phase_deadline();
    maybe_pass_turn();
}

// EHLO is answered, in clear or inside TLS.
void DeliverySession::on_greeted() {
    if (smtp_->is_secured()) return on_secured();
    if (!is_demand_known_) {
        waits_for_demand_ = true;
        return;
    }
    const TlsOffer offer{
        .offers_starttls = smtp_->capabilities().starttls,
        .can_secure = shard_.tls != nullptr,
        .is_known_broken = goes_in_clear_ || !engine_.peers.may_try_tls(connector_.peer(), shard_.executor->now())};
    switch (on_greeting(demand_, offer)) {
        case TlsStep::Secure: return smtp_->start_tls(out_);
        case TlsStep::GoOnInClear:
            if (!offer.offers_starttls) tally_failure("starttls-not-supported", {});
            return on_smtp_ready();
        case TlsStep::TryInClear:
        case TlsStep::PassOver: break;
    }
    Reply why{0, {4, 7, 4}, "TLS policy " + std::string(demand_.policy) + ": " + connector_.mx_host()};
    why.text += demand_.refusal.empty() ? " does not offer STARTTLS" : " is passed over: " + demand_.refusal;
    tally_failure(demand_.refusal.empty()    ? "starttls-not-supported"
                  : demand_.policy == "dane" ? "dnssec-invalid"
                                             : "validation-failure",
                  demand_.refusal);
    on_opening_failed(SmtpPhase::StartTls, smtp::Ending::Refused, std::move(why));
}

// TLS before the greeting (RFC 8314).
void DeliverySession::secure_first(std::string_view first_octets) {
    if (shard_.tls != nullptr && first_octets.empty()) return secure();
    on_tls_failed(smtp::Ending::Garbage, Reply{0, {4, 7, 5}, "TLS cannot be used: the server spoke before it"});
}

// STARTTLS is answered with 220: the connection belongs to TLS from here on.
void DeliverySession::secure() {
    const TlsRules rules = tls_rules_of(*settings_);
    auto secured =
        shard_.tls->secure(std::move(stream_),
                           {.rules = rules,
                            .server_name = demand_.server_name.empty() ? connector_.mx_host() : demand_.server_name,
                            .names = demand_.names,
                            .authentication = demand_.authentication,
                            .tlsa = demand_.tlsa,
                            .session_key = session_key_of(queue_->virtual_mta->name, connector_.mx_address()),
                            .deadline = shard_.executor->now() + settings_->tls_timeout},
                           *this);
    if (secured) {
        secure_ = secured->get();
        stream_ = std::move(*secured);
        return;
    }
    on_tls_failed(smtp::Ending::Refused, Reply{0, {4, 7, 5}, "TLS cannot be used: " + secured.error().text});
}

void DeliverySession::on_connected() {
    const auto self = shared_from_this();
    tls_facts_ = secure_->security();
    tls_text_ = tls_facts_.protocol + '/' + tls_facts_.cipher + '/';
    tls_text_ += demand_.policy;
    tls_text_ += '/';
    tls_text_ += demand_.authentication == TlsAuthentication::Dane ? "dane"
                 : tls_facts_.is_verified                          ? "certificate"
                                                                   : "none";
    if (trace_) trace_->note("TLS: " + tls_text_);
    engine_.metrics.tls_handshakes.add();
    if (tls_facts_.is_resumed) engine_.metrics.tls_resumed.add();
    smtp_->secured(out_);
    flush();
    set_phase_deadline();
}

// RFC 8689 §4.2.1: who the server is has been proved, and that mail for the domain goes there as well.
bool DeliverySession::is_peer_verified() const {
    if (!smtp_->is_secured()) return false;
    return demand_.authentication == TlsAuthentication::Dane ||
           (tls_facts_.is_verified && (demand_.is_sts || connector_.is_name_trusted()));
}

void DeliverySession::on_tls_failed(smtp::Ending ending, Reply reply) {
    if (trace_) trace_->note("TLS failed: " + reply.to_string());
    engine_.metrics.tls_failures.add();
    tally_failure(secure_ != nullptr ? tls_report_result(secure_->failure()) : "starttls-not-supported", reply.text);
    const bool may_go_in_clear = on_trouble(demand_) == TlsStep::TryInClear;
    engine_.dependencies.log.line(LogLevel::Info, "tls-failed")
        .field("queue", queue_->name)
        .field("host", connector_.mx_host())
        .field("address", connector_.mx_address())
        .field("policy", demand_.policy)
        .field("reason", reply.to_string())
        .field("then", may_go_in_clear ? "a fresh connection in clear" : "another host, or later");
    if (!may_go_in_clear) {
        return on_opening_failed(SmtpPhase::StartTls, ending, std::move(reply));
    }
    // Nothing that this connection has seen is trusted in clear: a fresh one, to the same address.
    engine_.peers.on_tls_failed(connector_.peer(), shard_.executor->now());
    connector_.fail(SmtpPhase::StartTls, ending, std::move(reply));
    leave_address();
    goes_in_clear_ = true;
    connector_.again(*settings_);
}

}  // namespace postfleet::sender
