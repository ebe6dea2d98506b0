// The login of a DeliverySession at a smart host (RFC 4954): only inside TLS, with a server that has proved who it is.
//
// A login that is refused for good is a mistake of ours to mend, and says nothing about the mail: it is held, the
// attempt does not count, and nothing bounces. A temporary refusal is like any other host that does not work now.

#include <algorithm>
#include <utility>

#include "delivery_session.hpp"

namespace postfleet::sender {

// EHLO is answered, inside TLS.
void DeliverySession::on_secured() {
    const auto& access = connector_.access();
    if (!access || access->user.empty()) return on_smtp_ready();
    if (smtp_->is_authenticated()) {
        login_.reset();
        engine_.logins.on_accepted(access);
        return on_smtp_ready();
    }
    log_in(*access);
}

void DeliverySession::log_in(const config::RouteAccess& access) {
    const auto fail = [&](std::string text) {
        on_opening_failed(SmtpPhase::Auth, smtp::Ending::Refused, Reply{0, {4, 7, 0}, std::move(text)});
    };
    const smtp::Capabilities& offer = smtp_->capabilities();
    if (!offer.auth_plain && !offer.auth_login) {
        return fail(connector_.mx_host() + " does not offer AUTH PLAIN or LOGIN, and mail goes there as " +
                    access.user);
    }
    // The demand asks for it; nothing that might be changed there sends a password to a stranger.
    if (!tls_facts_.is_verified) return fail(connector_.mx_host() + " has not proved who it is: no login");
    // Several connections may have come up before the first of them was refused.
    if (!engine_.logins.begin_try(connector_.access(), shard_.executor->now())) return pass_over_login();
    login_secrets_ = engine_.secrets();
    const Secret* password = nullptr;
    if (login_secrets_) {
        const auto found = login_secrets_->find(access.password_file);
        if (found != login_secrets_->end()) password = &found->second;
    }
    if (password == nullptr) return fail("the password of " + access.user + " is not known");
    const auto mechanism = offer.auth_plain ? sasl::Mechanism::Plain : sasl::Mechanism::Login;
    login_.emplace(mechanism, sasl::ClientCredentials{access.user, password->view()});
    std::string response = login_->initial_response().value_or("");
    smtp_->authenticate(to_string(mechanism), response, out_);
    wipe(response);
    flush_login();
}

void DeliverySession::on_challenge() {
    std::string line = login_->answer();
    smtp_->answer(line, out_);
    wipe(line);
    flush_login();
}

// Octets with a password in them stay nowhere; a trace shows that they went out.
void DeliverySession::flush_login() {
    if (trace_) trace_->sent(out_, SessionTrace::Secrecy::Secret);
    stream_->write(out_);
    wipe(out_);
}

void DeliverySession::on_login_failed(Reply reply) {
    if (reply.code / 100 != 5) return on_opening_failed(SmtpPhase::Auth, smtp_->closing_ending(), std::move(reply));
    engine_.metrics.login_refusals.add();
    const auto access = connector_.access();
    std::string reason = "the login of " + access->user + " is refused: " + reply.to_string();
    if (engine_.logins.on_refused(access, reason, shard_.executor->now())) {
        const OpenFailure failure{.phase = SmtpPhase::Auth,
                                  .reply = std::move(reply),
                                  .mx_host = connector_.mx_host(),
                                  .mx_address = connector_.mx_address(),
                                  .source_address = connector_.source_address()};
        engine_.report_login_refused(*queue_, failure, std::move(reason), shard_);
    }
    pass_over_login();
}

// Not with this login; another host of the destination may have none, or another one.
void DeliverySession::pass_over_login() {
    leave_address();
    connector_.hold_login();
    connector_.next(*settings_);
}

}  // namespace postfleet::sender
