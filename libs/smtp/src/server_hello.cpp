// The part of ServerSession in which the client says who it is: EHLO, HELO, STARTTLS, AUTH and XCLIENT.
#include <utility>

#include "postfleet/base/require.hpp"
#include "postfleet/smtp/server_session.hpp"
#include "merge_dialogue.hpp"
#include "server_replies.hpp"

namespace postfleet::smtp {

void ServerSession::ehlo(std::string_view argument, std::string& out) {
    if (!is_hello_name(argument)) return mistake(Refusal::Syntax, kBadHello, out);
    say_hello(argument, true);
    out.append("250-").append(settings_->hostname).append("\r\n250-PIPELINING\r\n250-SIZE ");
    out.append(std::to_string(settings_->max_message_octets));
    out.append("\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n");
    const ScheduleOffer schedule = policy_.schedule_offer(settings_->schedule);
    if (schedule.max_hold.count() > 0) {
        const auto until = std::chrono::floor<std::chrono::seconds>(policy_.now()) + schedule.max_hold;
        out.append("250-FUTURERELEASE ").append(std::to_string(schedule.max_hold.count()));
        out.append(1, ' ').append(format_rfc3339(until)).append("\r\n");
    }
    if (schedule.deliver_by) out.append("250-DELIVERBY\r\n");
    if (schedule.mt_priority) out.append("250-MT-PRIORITY\r\n");
    if (settings_->offers_merge) out.append("250-XMRG\r\n250-XACK\r\n250-VERP\r\n");
    if (settings_->offers_require_tls && secured_) out.append("250-REQUIRETLS\r\n");
    // RFC 9422: what is enforced, so that a client need not find out.
    out.append("250-LIMITS RCPTMAX=").append(std::to_string(settings_->max_recipients));
    if (settings_->max_messages != UINT32_MAX) out.append(" MAILMAX=").append(std::to_string(settings_->max_messages));
    out.append("\r\n");
    if (settings_->offers_starttls && !secured_) out.append("250-STARTTLS\r\n");
    if (offers_auth()) {
        out.append(settings_->auth_binds_channel && secured_ ? "250-AUTH SCRAM-SHA-256-PLUS " : "250-AUTH ");
        out.append(settings_->auth_mechanisms).append("\r\n");
    }
    if (policy_.offers_xclient()) out.append("250-XCLIENT ").append(kXclientAttributes).append("\r\n");
    out.append("250 ENHANCEDSTATUSCODES\r\n");
    if (draining_) drain(out);
}

void ServerSession::helo(std::string_view argument, std::string& out) {
    if (!is_hello_name(argument)) return mistake(Refusal::Syntax, kBadHello, out);
    say_hello(argument, false);
    out.append("250 ").append(settings_->hostname).append("\r\n");
    if (draining_) drain(out);
}

void ServerSession::say_hello(std::string_view name, bool extended) {
    abandon();
    hello_name_ = name;
    extended_ = extended;
    mail_refused_ = false;
    state_ = State::Ready;
}

void ServerSession::starttls(std::string_view argument, std::string& out) {
    if (secured_) return mistake(Refusal::Sequence, kTlsActive, out);
    if (!settings_->offers_starttls) return switched_off(argument, out);
    if (!argument.empty()) return mistake(Refusal::Syntax, kNoArgument, out);
    // Whoever put this behind STARTTLS wants it taken for something that came over TLS.
    if (unread_octets_ > 0) {
        policy_.on_refusal(Refusal::EarlyTalk);
        return close_with(kInjection, out);
    }
    const Decision decision = policy_.on_starttls();
    if (decision.kind == Decision::Kind::Refuse) return answer_refusal(decision.reply, out);
    hello_name_.clear();
    extended_ = authenticated_ = false;
    state_ = State::Securing;
    out.append(kStartTls);
}

void ServerSession::secured() {
    require(!secured_ && (state_ == State::Securing || state_ == State::Opening));
    secured_ = true;
    merge_.reset();
    if (state_ == State::Securing) state_ = State::Start;
}

bool ServerSession::offers_auth() const {
    return !settings_->auth_mechanisms.empty() && !authenticated_ && (secured_ || settings_->auth_without_tls);
}

void ServerSession::auth(std::string_view argument, std::string& out) {
    if (settings_->auth_mechanisms.empty()) return switched_off(argument, out);
    if (authenticated_) return mistake(Refusal::Sequence, kIsAuthenticated, out);
    if (!offers_auth()) return mistake(Refusal::NeedsTls, kNeedTls, out);
    if (argument.empty()) return mistake(Refusal::Syntax, kNeedsArgument, out);
    const std::size_t space = argument.find(' ');
    AuthRequest request{argument.substr(0, space), std::nullopt};
    if (space != std::string_view::npos) request.initial_response = argument.substr(space + 1);
    finish_auth(policy_.on_auth(std::move(request)), out);
}

void ServerSession::finish_auth(Decision&& decision, std::string& out) {
    switch (decision.kind) {
        case Decision::Kind::Wait: question_ = Question::Auth; return;
        case Decision::Kind::Challenge:
            state_ = State::Auth;
            out.append("334 ").append(decision.reply.text).append("\r\n");
            return;
        case Decision::Kind::Accept:
            state_ = State::Ready;
            authenticated_ = true;
            out.append(kAuthenticated);
            break;
        case Decision::Kind::Refuse:
            state_ = State::Ready;
            answer_refusal(decision.reply, out);
            break;
    }
    if (draining_) drain(out);
}

void ServerSession::xclient(std::string_view argument, std::string& out) {
    if (!policy_.offers_xclient()) return mistake(Refusal::XclientDenied, kXclientDenied, out);
    auto request = parse_xclient(argument);
    if (!request) return mistake(Refusal::Syntax, kBadXclient, out);
    const bool is_known = request->login && *request->login;
    Decision decision = policy_.on_xclient(std::move(*request));
    if (decision.kind == Decision::Kind::Refuse && decision.reply.code != kClosingCode) {
        return answer_refusal(decision.reply, out);
    }
    hello_name_.clear();
    extended_ = false;
    authenticated_ = is_known;
    greet(std::move(decision), out);
}

}  // namespace postfleet::smtp
