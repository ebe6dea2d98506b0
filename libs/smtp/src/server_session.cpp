// The core of ServerSession: lines out of octets, what may be said when, and how a session ends.
#include "postfleet/smtp/server_session.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "merge_dialogue.hpp"
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

constexpr StateSet kGreeted =
    in(State::Start, State::Ready, State::Mail, State::Rcpt, State::BetweenChunks, State::BetweenParts);
constexpr StateSet kAnywhere = kGreeted | in(State::Refused);

// RFC 4954 §4: a command or response of AUTH, with its line end.
constexpr std::size_t kMaxAuthLine = 12'288;

// Variables may be whole paragraphs.
constexpr std::size_t kMaxDefinitionLine = 32 * 1024;

// Commands of which a client may send any number without ever sending a message.
bool leads_nowhere(Verb verb) {
    return verb == Verb::Noop || verb == Verb::Rset || verb == Verb::Ehlo || verb == Verb::Helo || verb == Verb::Vrfy ||
           verb == Verb::Help || verb == Verb::Xack;
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
    {Verb::Xmrg, in(State::Ready), &ServerSession::xmrg, kNestedMail},
    {Verb::Xdfn, in(State::Mail, State::Rcpt), &ServerSession::xdfn, kNeedMerge},
    {Verb::Xprt, in(State::Mail, State::Rcpt, State::BetweenParts), &ServerSession::xprt, kNeedMerge},
    {Verb::Xack, kGreeted, &ServerSession::xack, kBadSequence},
    {Verb::Expn, kGreeted, &ServerSession::switched_off, kBadSequence},
    {Verb::Etrn, kGreeted, &ServerSession::switched_off, kBadSequence},
    {Verb::Turn, kGreeted, &ServerSession::switched_off, kBadSequence},
    {Verb::Foreign, kAnywhere, &ServerSession::foreign, kBadSequence},
    {Verb::Unknown, kAnywhere, &ServerSession::unknown, kBadSequence},
};

ServerSession::ServerSession(const ServerSettings& settings, ServerPolicy& policy)
    : settings_(&settings), policy_(policy) {}
ServerSession::~ServerSession() = default;

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
    if (is_merging() && ascii_istarts_with(input, "XDFN ")) return std::max(limit, kMaxDefinitionLine);
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
        refuse_line(Refusal::LineTooLong, kLineTooLong, out);
    }
    return end + 1;
}

void ServerSession::run(std::string_view line, std::string& out) {
    if (line.find('\r') != std::string_view::npos || line.find('\0') != std::string_view::npos) {
        return refuse_line(Refusal::BareLineEnd, kControlInLine, out);
    }
    if (state_ == State::Auth) return finish_auth(policy_.on_auth_line(line), out);
    const Command command = parse_command(line);
    const std::size_t said = out.size();
    run_command(command, out);
    if (command.verb == Verb::Rcpt || command.verb == Verb::Xdfn) withhold(said, out);
}

void ServerSession::run_command(const Command& command, std::string& out) {
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
        case State::BetweenParts: mistake(Refusal::Sequence, kInParts, out); return;
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

void ServerSession::noop(std::string_view, std::string& out) { out.append(kOk); }

void ServerSession::quit(std::string_view argument, std::string& out) {
    if (!argument.empty()) return mistake(Refusal::Syntax, kNoArgument, out);
    said_quit_ = unread_octets_ == 0;
    close_with(kBye, out);
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
        case Question::Rcpt: {
            const std::size_t said = out.size();
            finish_rcpt(std::move(decision), out);
            withhold(said, out);
            break;
        }
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
