// Who the client is, and what it may do because of that.
#include <utility>

#include "postfleet/ingest/intake.hpp"
#include "postfleet/ingest/sender_rights.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::ingest {

smtp::Decision Intake::on_starttls() {
    if (!listener_.process.handshakes.take(rules_->limits.max_handshakes)) {
        return refuse(Reason::TooManyHandshakes, 454, {4, 7, 0},
                      "TLS is not available: too many handshakes, try later");
    }
    is_shaking_hands_ = true;
    return smtp::Decision::accept();
}

bool Intake::are_handshakes_many() const {
    return listener_.process.handshakes.taken() > rules_->limits.max_handshakes / 2;
}

void Intake::secured(TlsFacts facts) {
    if (std::exchange(is_shaking_hands_, false)) listener_.process.handshakes.give_back();
    tls_ = std::make_unique<const TlsFacts>(std::move(facts));
    // What was said in the clear does not count any more (RFC 3207 §4.2).
    login_ = nullptr;
    user_ = nullptr;
    place_ = nullptr;
    if (rules_->users != nullptr && !tls_->certificate_fingerprint.empty()) {
        user_ = rules_->users->find_by_certificate(tls_->certificate_fingerprint);
    }
}

smtp::Decision Intake::on_auth(smtp::AuthRequest&& request) {
    AuthServices& services = *rules_->auth;
    const auto mechanism = sasl::parse_mechanism(request.mechanism);
    sasl::ChannelBinding binding;
    if (tls_) binding = {tls_->exporter_binding, tls_->server_end_point_binding, rules_->session.auth_binds_channel};
    if (!mechanism || (*mechanism == sasl::Mechanism::ScramSha256Plus && !binding.is_offered)) {
        return refuse(Reason::AuthMechanism, 504, {5, 5, 4}, "Authentication mechanism not offered");
    }
    if (services.guard.must_wait(client_, shard_.executor().now())) {
        return refuse(Reason::AuthThrottled, 421, {4, 7, 0}, "Too many failed logins from your network, try later");
    }
    login_ = std::make_unique<Login>(*mechanism, Login::Context{.services = services,
                                                                .users = *rules_->users,
                                                                .client = client_,
                                                                .executor = shard_.executor(),
                                                                .driver = *this,
                                                                .binding = std::move(binding)});
    return finish_login(login_->begin(request.initial_response));
}

smtp::Decision Intake::on_auth_line(std::string_view line) {
    if (login_ == nullptr) {  // a reload came in between
        return refuse(Reason::AuthBusy, 454, {4, 7, 0}, "Temporary authentication failure, log in again");
    }
    return finish_login(login_->receive(line));
}

void Intake::on_verdict(PasswordVerdict verdict) { driver_.resume(finish_login(login_->resume(verdict))); }

smtp::Decision Intake::finish_login(smtp::Decision decision) {
    const auto refused = [&](Reason reason) {
        shard_.counters().refused(reason);
        shard_.log()
            .line(LogLevel::Info, "login-refused")
            .field("listener", rules_->listener.name)
            .field("client", client_.to_string())
            .field("user", login_->name())
            .field("reason", to_string(reason));
    };
    switch (login_->outcome()) {
        case Login::Outcome::Pending: return decision;
        case Login::Outcome::Succeeded: user_ = login_->user(); break;
        case Login::Outcome::Rejected: refused(Reason::AuthFailed); break;
        case Login::Outcome::Throttled: refused(Reason::AuthThrottled); break;
        case Login::Outcome::Busy: refused(Reason::AuthBusy); break;
        case Login::Outcome::Malformed: refused(Reason::AuthMalformed); break;
    }
    login_ = nullptr;
    return decision;
}

// What a client must have done, and whom it may name, before MAIL is taken.
std::optional<smtp::Decision> Intake::check_sender(const std::string& reverse_path) {
    if (user_ == nullptr) {
        if (rules_->listener.auth != config::ListenerAuth::Required) return std::nullopt;
        return refuse(Reason::AuthRequired, 530, {5, 7, 0}, "Authentication required");
    }
    if (reverse_path.empty() || user_->may_send_as(domain_of(reverse_path))) return std::nullopt;
    return refuse(Reason::SenderNotAllowed, 550, {5, 7, 1},
                  "You may not send as " + std::string(domain_of(reverse_path)));
}

smtp::ScheduleOffer Intake::schedule_offer(const smtp::ScheduleOffer& usual) const {
    if (user_ == nullptr) return usual;
    const config::ScheduleRights& rights = user_->schedule;
    smtp::ScheduleOffer offer = usual;
    if (rights.max_future_release) {
        offer.max_hold = std::chrono::floor<std::chrono::seconds>(*rights.max_future_release);
    }
    offer.deliver_by = rights.deliver_by.value_or(offer.deliver_by);
    offer.mt_priority = rights.mt_priority.value_or(offer.mt_priority);
    return offer;
}

std::optional<smtp::Decision> Intake::check_header_senders(std::string_view content) {
    if (user_ == nullptr) return std::nullopt;
    std::string text = refused_sender(content, *user_);
    if (text.empty()) return std::nullopt;
    return refuse(Reason::SenderNotAllowed, 550, {5, 7, 1}, std::move(text));
}

// RFC 3848, RFC 6531 §3.7.3.
std::string_view Intake::protocol() const {
    if (origin_ != nullptr) return "local";
    if (!extended_) return "SMTP";
    if (user_ != nullptr) {
        if (utf8_) return tls_ ? "UTF8SMTPSA" : "UTF8SMTPA";
        return tls_ ? "ESMTPSA" : "ESMTPA";
    }
    if (utf8_) return tls_ ? "UTF8SMTPS" : "UTF8SMTP";
    return tls_ ? "ESMTPS" : "ESMTP";
}

}  // namespace postfleet::ingest
