// TLS of a DeliverySession: whether to ask for it, what its failure leads to. The decisions are tls_policy's.

#include <utility>

#include "delivery_session.hpp"

namespace postfleet::sender {

namespace {

// Connections that may share a TLS session: the same host and address, from the same identity.
std::string session_key_of(const std::string& identity, const std::string& address) { return identity + ' ' + address; }

}  // namespace

// EHLO is answered, in clear or inside TLS.
void DeliverySession::on_greeted() {
    if (smtp_->is_secured()) return on_smtp_ready();
    const TlsOffer offer{.offers_starttls = smtp_->capabilities().starttls,
                         .can_secure = shard_.tls != nullptr,
                         .is_known_broken = goes_in_clear_ || !engine_.peers.may_try_tls(connector_.peer(), shard_.executor->now())};
    switch (on_greeting(demand_, offer)) {
        case TlsStep::Secure: return smtp_->start_tls(out_);
        case TlsStep::GoOnInClear: return on_smtp_ready();
        case TlsStep::TryInClear:
        case TlsStep::PassOver: break;
    }
    on_opening_failed(SmtpPhase::StartTls, smtp::Ending::Refused,
                      Reply{0,
                            {4, 7, 4},
                            "policy tls: " + std::string(demand_.policy) + " asks for TLS, and " +
                                connector_.mx_host() + " does not offer STARTTLS"});
}

// STARTTLS is answered with 220: the connection belongs to TLS from here on.
void DeliverySession::secure() {
    const TlsRules rules = tls_rules_of(*settings_);
    auto secured =
        shard_.tls->secure(std::move(stream_),
                           {.rules = rules,
                            .server_name = connector_.mx_host(),
                            .names = demand_.names,
                            .authentication = demand_.authentication,
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
    tls_text_ = tls_facts_.protocol + '/' + tls_facts_.cipher;
    engine_.metrics.tls_handshakes.add();
    if (tls_facts_.is_resumed) engine_.metrics.tls_resumed.add();
    smtp_->secured(out_);
    flush();
    set_phase_deadline();
}

void DeliverySession::on_tls_failed(smtp::Ending ending, Reply reply) {
    engine_.metrics.tls_failures.add();
    if (on_trouble(demand_) != TlsStep::TryInClear) {
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
