#include "postfleet/smtp/server_session.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/smtp/parameters.hpp"
#include "postfleet/smtp/path.hpp"
#include "server_replies.hpp"

namespace postfleet::smtp {
namespace {

using State = ServerSession::State;
using StateSet = std::uint16_t;

constexpr StateSet bit(State state) { return static_cast<StateSet>(1u << static_cast<unsigned>(state)); }
template <class... States>
constexpr StateSet in(States... states) {
    return static_cast<StateSet>((bit(states) | ...));
}

constexpr StateSet kGreeted = in(State::Start, State::Ready, State::Mail, State::Rcpt, State::BetweenChunks);
constexpr StateSet kAnywhere = kGreeted | in(State::Refused);

// Past the limit of recipients a client may go on for a while before it counts as a mistake: bulk senders
// send the whole list in one go and take the 452 as "the rest later" (RFC 5321 §4.5.3.1.10).
constexpr std::uint32_t kRecipientOvershoot = 1000;

// RFC 4954 §4: a command or response of AUTH, with its line end.
constexpr std::size_t kMaxAuthLine = 12'288;

// Commands of which a client may send any number without ever sending a message.
bool leads_nowhere(Verb verb) {
    return verb == Verb::Noop || verb == Verb::Rset || verb == Verb::Ehlo || verb == Verb::Helo || verb == Verb::Vrfy ||
           verb == Verb::Help;
}

}  // namespace

// One row per verb: where it may stand, what runs it, and the answer anywhere else. Start and Refused have
// an answer of their own.
struct ServerSession::Rule {
    Verb verb;
    StateSet allowed;
    void (ServerSession::*run)(std::string_view argument, std::string& out);
    std::string_view elsewhere;
};

const ServerSession::Rule ServerSession::kRules[] = {
    {Verb::Ehlo, kGreeted, &ServerSession::ehlo, kBadSequence},
    {Verb::Helo, kGreeted, &ServerSession::helo, kBadSequence},
    {Verb::Mail, in(State::Ready), &ServerSession::mail, kNestedMail},
    {Verb::Rcpt, in(State::Mail, State::Rcpt), &ServerSession::rcpt, kNeedMail},
    {Verb::Data, in(State::Mail, State::Rcpt), &ServerSession::data, kNeedMail},
    {Verb::Bdat, kGreeted, &ServerSession::bdat, kBadSequence},
    {Verb::Rset, kGreeted, &ServerSession::rset, kBadSequence},
    {Verb::Noop, kGreeted, &ServerSession::noop, kBadSequence},
    {Verb::Quit, kAnywhere, &ServerSession::quit, kBadSequence},
    {Verb::Vrfy, kGreeted, &ServerSession::vrfy, kBadSequence},
    {Verb::Help, kGreeted, &ServerSession::help, kBadSequence},
    {Verb::Starttls, in(State::Ready), &ServerSession::starttls, kNestedMail},
    {Verb::Auth, in(State::Ready), &ServerSession::auth, kNestedMail},
    {Verb::Xclient, in(State::Start, State::Ready), &ServerSession::xclient, kNestedMail},
    {Verb::Expn, kGreeted, &ServerSession::switched_off, kBadSequence},
    {Verb::Etrn, kGreeted, &ServerSession::switched_off, kBadSequence},
    {Verb::Turn, kGreeted, &ServerSession::switched_off, kBadSequence},
    {Verb::Foreign, kAnywhere, &ServerSession::foreign, kBadSequence},
    {Verb::Unknown, kAnywhere, &ServerSession::unknown, kBadSequence},
};

void ServerSession::open(std::string& out) {
    require(state_ == State::Opening && question_ == Question::None);
    Decision decision = policy_.on_connection();
    if (decision.kind == Decision::Kind::Wait) question_ = Question::Connection;
    else greet(std::move(decision), out);
}

void ServerSession::greet(Decision&& decision, std::string& out) {
    if (decision.kind == Decision::Kind::Refuse) {
        state_ = State::Refused;
        append_reply(out, decision.reply);
        if (decision.reply.code == kClosingCode) close_with({}, out);
        return;
    }
    state_ = State::Start;
    if (draining_) drain(out);
    else out.append("220 ").append(settings_->hostname).append(" ESMTP ready\r\n");
}

void ServerSession::receive(std::string_view octets, std::string& out) {
    if (rest_.empty()) {
        const std::size_t taken = process(octets, out);
        if (taken < octets.size()) rest_.assign(octets.substr(taken));
        return;
    }
    rest_.append(octets);
    process_rest(out);
}

void ServerSession::process_rest(std::string& out) {
    const std::size_t taken = process(rest_, out);
    if (taken < rest_.size()) rest_.erase(0, taken);
    else std::string().swap(rest_);
}

std::size_t ServerSession::process(std::string_view input, std::string& out) {
    std::size_t at = 0;
    while (at < input.size() && wants_input()) {
        const std::string_view left = input.substr(at);
        std::size_t taken = 0;
        if (state_ == State::Body) taken = take_content(left, out);
        else if (state_ == State::Chunk) taken = take_chunk(left, out);
        else taken = take_line(left, out);
        if (taken == 0) break;
        at += taken;
    }
    return is_closed() ? input.size() : at;
}

std::size_t ServerSession::take_line(std::string_view input, std::string& out) {
    if (dropping_line_) return drop_long_line(input, out);
    const std::size_t limit = line_limit(input);
    const std::size_t end = input.substr(0, limit).find('\n');
    if (end == std::string_view::npos) {
        if (input.size() < limit) return 0;
        dropping_line_ = true;
        dropped_cr_ = false;
        return drop_long_line(input, out);
    }
    ++commands_;
    const bool with_cr = end > 0 && input[end - 1] == '\r';
    if (!with_cr && settings_->line_ends == LineEndPolicy::Strict) {
        mistake(Refusal::BareLineEnd, {}, out);
        close_with(kBareLineEnd, out);
        return end + 1;
    }
    unread_octets_ = input.size() - end - 1;
    run(input.substr(0, with_cr ? end - 1 : end), out);
    return end + 1;
}

std::size_t ServerSession::line_limit(std::string_view input) const {
    const std::size_t limit = settings_->max_command_octets;
    const bool is_auth = state_ == State::Auth || (offers_auth() && ascii_istarts_with(input, "AUTH "));
    return is_auth ? std::max(limit, kMaxAuthLine) : limit;
}

// The rest of a line that is too long is never taken for a second command.
std::size_t ServerSession::drop_long_line(std::string_view input, std::string& out) {
    const std::size_t end = input.find('\n');
    if (end == std::string_view::npos) {
        dropped_cr_ = input.back() == '\r';
        return input.size();
    }
    ++commands_;
    dropping_line_ = false;
    const bool with_cr = end > 0 ? input[end - 1] == '\r' : dropped_cr_;
    if (!with_cr && settings_->line_ends == LineEndPolicy::Strict) {
        mistake(Refusal::BareLineEnd, {}, out);
        close_with(kBareLineEnd, out);
    } else {
        if (state_ == State::Auth) state_ = State::Ready;
        mistake(Refusal::LineTooLong, kLineTooLong, out);
    }
    return end + 1;
}

void ServerSession::run(std::string_view line, std::string& out) {
    if (line.find('\r') != std::string_view::npos || line.find('\0') != std::string_view::npos) {
        mistake(Refusal::BareLineEnd, kControlInLine, out);
        return;
    }
    if (state_ == State::Auth) return finish_auth(policy_.on_auth_line(line), out);
    const Command command = parse_command(line);
    const Rule& rule = kRules[static_cast<std::size_t>(command.verb)];
    require(rule.verb == command.verb);
    if ((rule.allowed & bit(state_)) != 0) {
        (this->*rule.run)(command.argument, out);
        if (leads_nowhere(command.verb)) count_idle(out);
        return;
    }
    switch (state_) {
        case State::Start: mistake(Refusal::Sequence, kNeedHello, out); return;
        case State::Refused: mistake(Refusal::Sequence, kOnlyQuit, out); return;
        case State::BetweenChunks: mistake(Refusal::Sequence, kInChunks, out); return;
        case State::Ready:
            if (follows_refused_mail(command.verb)) out.append(rule.elsewhere);
            else mistake(Refusal::Sequence, rule.elsewhere, out);
            return;
        case State::Mail:
        case State::Rcpt:
        case State::Opening:
        case State::Body:
        case State::Chunk:
        case State::Securing:
        case State::Auth:
        case State::Closed: mistake(Refusal::Sequence, rule.elsewhere, out); return;
    }
}

void ServerSession::ehlo(std::string_view argument, std::string& out) {
    if (!is_hello_name(argument)) return mistake(Refusal::Syntax, kBadHello, out);
    say_hello(argument, true);
    out.append("250-").append(settings_->hostname).append("\r\n250-PIPELINING\r\n250-SIZE ");
    out.append(std::to_string(settings_->max_message_octets));
    out.append("\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n");
    if (settings_->max_hold.count() > 0) {
        const auto until = std::chrono::floor<std::chrono::seconds>(policy_.now()) + settings_->max_hold;
        out.append("250-FUTURERELEASE ").append(std::to_string(settings_->max_hold.count()));
        out.append(1, ' ').append(format_rfc3339(until)).append("\r\n");
    }
    if (settings_->offers_deliver_by) out.append("250-DELIVERBY\r\n");
    if (settings_->offers_mt_priority) out.append("250-MT-PRIORITY\r\n");
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

void ServerSession::mail(std::string_view argument, std::string& out) {
    if (messages_ >= settings_->max_messages) {
        policy_.on_refusal(Refusal::TooManyMessages);
        return close_with(kTooManyMessages, out);
    }
    if (!take_path_keyword("FROM", argument)) return mistake(Refusal::Syntax, kMailSyntax, out);
    // Whether UTF-8 may be in the path is only said behind it.
    const bool is_plain = is_ascii(argument);
    auto parsed = parse_path(argument, is_plain ? Mailbox::Utf8::Refuse : Mailbox::Utf8::Allow);
    if (const auto* error = std::get_if<PathError>(&parsed)) {
        return mistake(refusal_of(*error), sender_fault(*error), out);
    }
    const Path& path = std::get<Path>(parsed);
    if (path.kind == PathKind::Postmaster) {
        return mistake(Refusal::Syntax, sender_fault(PathError::Syntax), out);
    }
    MailParameters parameters;
    const ParameterError error = parse_mail_parameters(argument, parameters,
                                                       {.future_release = settings_->max_hold.count() > 0,
                                                        .deliver_by = settings_->offers_deliver_by,
                                                        .mt_priority = settings_->offers_mt_priority,
                                                        .require_tls = settings_->offers_require_tls && secured_});
    if (error != ParameterError::None) return mistake(refusal_of(error), parameter_fault(error), out);
    if (!is_plain && !parameters.smtputf8) {
        return mistake(Refusal::NonAsciiPath, sender_fault(PathError::NotAscii), out);
    }
    declared_octets_ = parameters.size_octets.value_or(0);
    if (declared_octets_ > settings_->max_message_octets) {
        policy_.on_refusal(Refusal::DeclaredTooBig);
        out.append(kTooBig);
        return;
    }
    utf8_ = parameters.smtputf8 ? Mailbox::Utf8::Allow : Mailbox::Utf8::Refuse;
    MailRequest request;
    request.declared_size_octets = declared_octets_;
    request.body = parameters.body;
    request.hello_name = hello_name_;
    request.extended = extended_;
    request.smtputf8 = parameters.smtputf8;
    request.return_content = parameters.return_content;
    request.envelope_id = std::move(parameters.envelope_id);
    request.schedule = parameters.schedule;
    request.require_tls = parameters.require_tls;
    if (path.kind == PathKind::Mailbox) request.reverse_path = path.mailbox.to_string();
    Decision decision = policy_.on_mail(std::move(request));
    if (decision.kind == Decision::Kind::Wait) question_ = Question::Mail;
    else finish_mail(std::move(decision), out);
}

void ServerSession::finish_mail(Decision&& decision, std::string& out) {
    if (decision.kind == Decision::Kind::Accept) {
        in_transaction_ = true;
        recipients_ = refused_recipients_ = 0;
        mail_refused_ = false;
        state_ = State::Mail;
        out.append(kMailOk);
        return;
    }
    mail_refused_ = true;
    refused_recipients_ = 0;
    answer_refusal(decision.reply, out);
    if (draining_) drain(out);
}

// A pipelining client has sent RCPT and DATA before it could know.
bool ServerSession::follows_refused_mail(Verb verb) {
    return mail_refused_ && (verb == Verb::Rcpt || verb == Verb::Data || verb == Verb::Bdat) &&
           ++refused_recipients_ <= kRecipientOvershoot;
}

void ServerSession::rcpt(std::string_view argument, std::string& out) {
    if (!take_path_keyword("TO", argument)) return mistake(Refusal::Syntax, kRcptSyntax, out);
    if (recipients_ >= settings_->max_recipients) {
        policy_.on_refusal(Refusal::TooManyRecipients);
        out.append(kTooManyRecipients);
        if (++refused_recipients_ > kRecipientOvershoot) count_error(out);
        return;
    }
    auto parsed = parse_path(argument, utf8_);
    if (const auto* error = std::get_if<PathError>(&parsed)) {
        ++refused_recipients_;
        return mistake(refusal_of(*error), recipient_fault(*error), out);
    }
    Path& path = std::get<Path>(parsed);
    if (path.kind == PathKind::Null) {
        ++refused_recipients_;
        return mistake(Refusal::Syntax, recipient_fault(PathError::Syntax), out);
    }
    RcptParameters parameters;
    const ParameterError error = parse_rcpt_parameters(argument, utf8_, parameters);
    if (error != ParameterError::None) {
        ++refused_recipients_;
        return mistake(refusal_of(error), parameter_fault(error), out);
    }
    Decision decision = policy_.on_rcpt({std::move(path.mailbox), parameters.notify, std::move(parameters.original)});
    if (decision.kind == Decision::Kind::Wait) question_ = Question::Rcpt;
    else finish_rcpt(std::move(decision), out);
}

void ServerSession::finish_rcpt(Decision&& decision, std::string& out) {
    if (decision.kind == Decision::Kind::Accept) {
        ++recipients_;
        state_ = State::Rcpt;
        out.append(kRcptOk);
        return;
    }
    ++refused_recipients_;
    answer_refusal(decision.reply, out);
}

void ServerSession::data(std::string_view argument, std::string& out) {
    if (!argument.empty()) return mistake(Refusal::Syntax, kNoArgument, out);
    if (recipients_ == 0) {
        // After refused recipients a pipelining client has done nothing wrong.
        if (refused_recipients_ == 0) return mistake(Refusal::Sequence, kNeedRcpt, out);
        out.append(kNoValidRecipients);
        return;
    }
    // The client cannot have seen the 354 yet. What stands behind DATA now is meant to be taken for
    // something else than it is: by us, or by a server in front of us.
    if (unread_octets_ > 0) {
        policy_.on_refusal(Refusal::EarlyTalk);
        return close_with(kEarlyTalk, out);
    }
    begin_content(Framing::Dots);
    state_ = State::Body;
    out.append(kStartData);
}

void ServerSession::rset(std::string_view argument, std::string& out) {
    if (!argument.empty()) return mistake(Refusal::Syntax, kNoArgument, out);
    abandon();
    mail_refused_ = false;
    if (state_ != State::Start) state_ = State::Ready;
    out.append(kOk);
    if (draining_) drain(out);
}

void ServerSession::noop(std::string_view, std::string& out) { out.append(kOk); }

void ServerSession::quit(std::string_view argument, std::string& out) {
    if (!argument.empty()) return mistake(Refusal::Syntax, kNoArgument, out);
    said_quit_ = unread_octets_ == 0;
    close_with(kBye, out);
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
    hello_name_.clear();
    extended_ = authenticated_ = false;
    state_ = State::Securing;
    out.append(kStartTls);
}

void ServerSession::secured() {
    require(!secured_ && (state_ == State::Securing || state_ == State::Opening));
    secured_ = true;
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

void ServerSession::vrfy(std::string_view argument, std::string& out) {
    if (argument.empty()) return mistake(Refusal::Syntax, kNeedsArgument, out);
    out.append(kCannotVerify);
}

void ServerSession::help(std::string_view, std::string& out) { out.append(kHelp); }

void ServerSession::switched_off(std::string_view, std::string& out) {
    mistake(Refusal::UnknownCommand, kSwitchedOff, out);
}

void ServerSession::foreign(std::string_view, std::string& out) {
    policy_.on_refusal(Refusal::ForeignProtocol);
    close_with(kForeign, out);
}

void ServerSession::unknown(std::string_view, std::string& out) {
    mistake(Refusal::UnknownCommand, kUnknown, out);
    if (is_closed() || ++unknown_commands_ < settings_->max_unknown_commands) return;
    policy_.on_refusal(Refusal::TooManyUnknownCommands);
    close_with(kTooManyUnknown, out);
}

void ServerSession::resume(Decision decision, std::string& out) {
    require(question_ != Question::None && decision.kind != Decision::Kind::Wait);
    switch (std::exchange(question_, Question::None)) {
        case Question::Connection: greet(std::move(decision), out); break;
        case Question::Auth: finish_auth(std::move(decision), out); break;
        case Question::Mail: finish_mail(std::move(decision), out); break;
        case Question::Rcpt: finish_rcpt(std::move(decision), out); break;
        case Question::Chunk: finish_chunk(std::move(decision), out); break;
        case Question::EndOfData: finish_data(std::move(decision), out); break;
        case Question::None: break;
    }
    if (!rest_.empty()) process_rest(out);
}

void ServerSession::drain(std::string& out) {
    draining_ = true;
    if (is_closed() || state_ == State::Opening || state_ == State::Securing) return;
    if (!in_transaction_) shut_down(out);
}

void ServerSession::shut_down(std::string& out) {
    say_goodbye(Refusal::ShuttingDown, "421 4.3.2 ", " is shutting down\r\n", out);
}

void ServerSession::time_out(std::string& out) {
    say_goodbye(Refusal::TimedOut, "421 4.4.2 ", " has waited too long\r\n", out);
}

// With a question open the outcome is not known: 421 would be a word too much.
void ServerSession::say_goodbye(Refusal refusal, std::string_view status, std::string_view why, std::string& out) {
    if (waiting_for() != Waiting::Command && waiting_for() != Waiting::Content) return;
    if (state_ == State::Opening) return;
    policy_.on_refusal(refusal);
    out.append(status).append(settings_->hostname);
    close_with(why, out);
}

void ServerSession::expire(std::string& out) {
    if (is_closed() || in_transaction_ || !wants_input()) return;
    policy_.on_refusal(Refusal::SessionTooLong);
    close_with(kSessionTooLong, out);
}

void ServerSession::lose() {
    if (is_closed()) return;
    question_ = Question::None;
    abandon();
    state_ = State::Closed;
}

ServerSession::Waiting ServerSession::waiting_for() const {
    if (is_closed()) return Waiting::Nothing;
    if (question_ != Question::None) return Waiting::Decision;
    if (state_ == State::Securing) return Waiting::Handshake;
    return state_ == State::Body || state_ == State::Chunk ? Waiting::Content : Waiting::Command;
}

void ServerSession::abandon() {
    if (!std::exchange(in_transaction_, false)) return;
    release_content();
    policy_.on_abandoned();
}

void ServerSession::answer_refusal(const Reply& reply, std::string& out) {
    append_reply(out, reply);
    if (reply.code == kClosingCode) close_with({}, out);
    else if (reply.is_permanent()) count_error(out);
}

void ServerSession::mistake(Refusal refusal, std::string_view reply, std::string& out) {
    policy_.on_refusal(refusal);
    out.append(reply);
    if (!reply.empty()) count_error(out);
}

void ServerSession::count_error(std::string& out) {
    if (++errors_ < settings_->max_errors) return;
    policy_.on_refusal(Refusal::TooManyErrors);
    close_with(kTooManyErrors, out);
}

void ServerSession::count_idle(std::string& out) {
    if (is_closed() || ++idle_commands_ < settings_->max_idle_commands) return;
    policy_.on_refusal(Refusal::TooManyIdleCommands);
    close_with(kTooManyIdle, out);
}

void ServerSession::close_with(std::string_view reply, std::string& out) {
    out.append(reply);
    abandon();
    state_ = State::Closed;
}

}  // namespace postfleet::smtp
