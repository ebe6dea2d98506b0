#include "postfleet/smtp/client_session.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/smtp/parameters.hpp"
#include "postfleet/smtp/xtext.hpp"

namespace postfleet::smtp {

namespace {

using State = ClientSession::State;

struct StateRow {
    State state;
    std::string_view doing;  // completes "connection lost while …"
    SmtpPhase phase;
    bool outcome_known;  // false: a loss here may leave a copy at the server (RFC 1047)
};

constexpr std::array kRows{
    StateRow{State::Greeting, "waiting for the greeting", SmtpPhase::Greeting, true},
    StateRow{State::Ehlo, "sending EHLO", SmtpPhase::Ehlo, true},
    StateRow{State::Helo, "sending HELO", SmtpPhase::Ehlo, true},
    StateRow{State::StartTls, "sending STARTTLS", SmtpPhase::StartTls, true},
    StateRow{State::Handshake, "in the TLS handshake", SmtpPhase::StartTls, true},
    StateRow{State::Auth, "logging in", SmtpPhase::Auth, true},
    StateRow{State::Ready, "idle", SmtpPhase::None, true},
    StateRow{State::Reset, "sending RSET", SmtpPhase::Mail, true},
    StateRow{State::Mail, "sending MAIL FROM", SmtpPhase::Mail, true},
    StateRow{State::Rcpt, "sending RCPT TO", SmtpPhase::Rcpt, true},
    StateRow{State::Data, "sending DATA", SmtpPhase::Data, true},
    StateRow{State::Body, "sending the message", SmtpPhase::Body, true},
    StateRow{State::EndOfData, "waiting for the reply to the message", SmtpPhase::EndOfData, false},
    StateRow{State::Quit, "sending QUIT", SmtpPhase::Quit, true},
    StateRow{State::Closed, "closed", SmtpPhase::None, true},
};

consteval bool rows_follow_the_enum() {
    for (std::size_t i = 0; i < kRows.size(); ++i) {
        if (static_cast<std::size_t>(kRows[i].state) != i) return false;
    }
    return true;
}
static_assert(rows_follow_the_enum());

constexpr const StateRow& row(State state) { return kRows[static_cast<std::size_t>(state)]; }

Reply own_words(EnhancedStatus enhanced, std::string text) { return Reply{0, enhanced, std::move(text)}; }

void append_number(std::string& out, std::uint64_t number) {
    char digits[20];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    out.append(digits, end);
}

}  // namespace

std::string_view doing(State state) { return row(state).doing; }

SmtpPhase ClientSession::phase() const { return row(state_).phase; }

// --- input ---------------------------------------------------------------------------------------------

ClientSession::Step ClientSession::on_octets(std::string_view& input, std::string& out) {
    while (!input.empty() && state_ != State::Closed) {
        const ReplyParser::Status status = parser_.parse(input);
        if (status == ReplyParser::Status::NeedMore) return Step::Wait;
        if (status == ReplyParser::Status::Garbage) {
            input = {};
            return close(Ending::Garbage, own_words({4, 5, 0}, parser_.flaw()));
        }
        const std::size_t written = out.size();
        const Step step = on_reply(input, out);
        // A server that speaks before it could have seen our next command is out of step; believing it
        // would put the replies of one command on another (and, with STARTTLS, plain text into TLS).
        const bool spoke = out.size() != written || step == Step::SendBody || step == Step::Challenge;
        if (spoke && is_out_of_step(input)) {
            input = {};
            return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered before it was asked"));
        }
        if (step != Step::Wait) return step;
    }
    input = {};
    return state_ == State::Closed ? Step::Closed : Step::Wait;
}

bool ClientSession::is_out_of_step(std::string_view rest) const {
    return !rest.empty() && state_ != State::Ready && state_ != State::Closed;
}

ClientSession::Step ClientSession::on_reply(std::string_view rest, std::string& out) {
    ++replies_;
    if (state_ != State::Reset && parser_.code() != 421) result_.touched = true;
    if (parser_.code() == 421 && state_ != State::Quit) return close(Ending::Replied, parser_.to_reply());
    switch (state_) {
        case State::Greeting: return on_greeting(out);
        case State::Ehlo: return on_ehlo(out);
        case State::Helo: return on_helo();
        case State::StartTls: return on_start_tls(rest);
        case State::Auth: return on_auth(out);
        case State::Reset: return on_reset(out);
        case State::Mail: return on_mail(out);
        case State::Rcpt: return on_rcpt(out);
        case State::Data: return on_data(out);
        case State::EndOfData: return on_end_of_data();
        case State::Quit: return close(Ending::Replied, parser_.to_reply());
        case State::Ready:
            return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered without being asked"));
        case State::Body:
            // The server gave up before it had everything. A refusal is its word; anything else is out of step.
            if (is_code(4) || is_code(5)) return close(Ending::Replied, parser_.to_reply());
            return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered in the middle of the message"));
        case State::Handshake:
        case State::Closed: break;
    }
    require(false);
    return Step::Closed;
}

ClientSession::Step ClientSession::on_greeting(std::string& out) {
    if (!is_code(2)) return close(Ending::Replied, parser_.to_reply());
    write_greeting("EHLO ", out);
    state_ = State::Ehlo;
    return Step::Wait;
}

void ClientSession::write_greeting(std::string_view verb, std::string& out) const {
    out += verb;
    out += options_.ehlo_name;
    out += "\r\n";
}

ClientSession::Step ClientSession::on_ehlo(std::string& out) {
    if (is_code(2)) {
        capabilities_ = parse_capabilities(parser_.lines());
        state_ = State::Ready;
        return Step::Ready;
    }
    if (!is_code(5)) return close(Ending::Replied, parser_.to_reply());
    if (is_authenticated_) {
        state_ = State::Ready;
        return Step::Ready;
    }
    write_greeting("HELO ", out);
    state_ = State::Helo;
    return Step::Wait;
}

ClientSession::Step ClientSession::on_helo() {
    if (!is_code(2)) return close(Ending::Replied, parser_.to_reply());
    state_ = State::Ready;
    return Step::Ready;
}

// --- TLS -----------------------------------------------------------------------------------------------

void ClientSession::start_tls(std::string& out) {
    require(state_ == State::Ready && !in_transaction_ && !is_secured_);
    out += "STARTTLS\r\n";
    state_ = State::StartTls;
}

ClientSession::Step ClientSession::on_start_tls(std::string_view rest) {
    if (!is_code(2)) return close(Ending::Replied, parser_.to_reply());
    if (!rest.empty()) {
        return close(Ending::Garbage,
                     own_words({4, 7, 5}, "the server sent octets in clear behind its 220 to STARTTLS"));
    }
    state_ = State::Handshake;
    return Step::Handshake;
}

void ClientSession::secured(std::string& out) {
    require(state_ == State::Handshake);
    is_secured_ = true;
    if (options_.begins_with_handshake) {
        state_ = State::Greeting;
        return;
    }
    capabilities_ = {};
    write_greeting("EHLO ", out);
    state_ = State::Ehlo;
}

// --- login ---------------------------------------------------------------------------------------------

void ClientSession::authenticate(std::string_view mechanism, std::string_view initial_response, std::string& out) {
    require(state_ == State::Ready && !in_transaction_ && is_secured_ && !is_authenticated_);
    out += "AUTH ";
    out += mechanism;
    if (!initial_response.empty()) {
        out += ' ';
        out += initial_response;
    }
    out += "\r\n";
    state_ = State::Auth;
}

void ClientSession::answer(std::string_view line, std::string& out) {
    require(state_ == State::Auth);
    out += line;
    out += "\r\n";
}

ClientSession::Step ClientSession::on_auth(std::string& out) {
    if (parser_.code() == 334) return Step::Challenge;
    if (is_code(3)) return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered AUTH with 3xx"));
    if (!is_code(2)) return close(Ending::Replied, parser_.to_reply());
    is_authenticated_ = true;
    write_greeting("EHLO ", out);
    state_ = State::Ehlo;
    return Step::Wait;
}

// --- a transaction -------------------------------------------------------------------------------------

// A path with a control octet in it would end our command and begin another one.
void ClientSession::check_paths() {
    unsigned char all = 0;
    bool safe = true;
    const auto look = [&](std::string_view path) {
        for (const char c : path) {
            const auto octet = static_cast<unsigned char>(c);
            all |= octet;
            safe = safe && octet >= 0x20 && octet != 0x7f;
        }
    };
    look(transaction_.reverse_path);
    for (const Recipient& recipient : transaction_.recipients) look(recipient.address);
    paths_are_safe_ = safe;
    paths_are_ascii_ = all < 0x80;
}

bool ClientSession::is_refusable(const ClientTransaction& transaction) {
    Reply& why = result_.reply;
    if (transaction.size_octets > capabilities_.max_message_octets) {
        why = own_words({5, 3, 4}, "the message has " + std::to_string(transaction.size_octets) +
                                       " octets, the server takes " + std::to_string(capabilities_.max_message_octets));
    } else if (!paths_are_ascii_ && !capabilities_.smtputf8) {
        why = own_words({5, 6, 7}, "an address needs SMTPUTF8, which the server does not offer");
    } else if (transaction.smtputf8 && !capabilities_.smtputf8) {
        why = own_words({5, 6, 9}, "the header needs SMTPUTF8, which the server does not offer");
    } else if (transaction.requires_tls && !transaction.is_peer_verified) {
        why = own_words({5, 7, 30}, "REQUIRETLS: the server has not proved who it is");
    } else if (transaction.requires_tls && !capabilities_.require_tls) {
        why = own_words({5, 7, 30}, "REQUIRETLS is needed, which the server does not offer");
    } else if (!paths_are_safe_) {
        why = own_words({5, 1, 3}, "an address contains control characters");
    } else {
        return false;
    }
    return true;
}

ClientSession::Step ClientSession::begin(const ClientTransaction& transaction, std::string& out) {
    require(state_ == State::Ready && !in_transaction_ && !transaction.recipients.empty());
    transaction_ = transaction;
    result_ = {};
    mail_refusal_ = {};
    in_transaction_ = true;
    is_chunked_ = false;
    dot_only_ = false;
    answered_ = 0;
    check_paths();
    if (is_refusable(transaction)) {
        result_.ending = Ending::Refused;
        result_.phase = SmtpPhase::Mail;
        return Step::TransactionDone;
    }
    pipelined_ = is_pipelining();
    is_chunked_ =
        std::exchange(took_last_, false) && pipelined_ && capabilities_.chunking && transaction.chunk_octets > 0;
    const bool reset_first = std::exchange(needs_reset_, false);
    if (reset_first) out += "RSET\r\n";
    if (!reset_first || pipelined_) write_mail(out);
    if (pipelined_) {
        for (std::size_t i = 0; i < transaction_.recipients.size(); ++i) write_rcpt(out, i);
        if (is_chunked_) write_chunk_command(out);
        else out += "DATA\r\n";
    }
    state_ = reset_first ? State::Reset : State::Mail;
    return is_chunked_ ? Step::SendBody : Step::Wait;
}

void ClientSession::write_mail(std::string& out) const {
    out += "MAIL FROM:<";
    out += transaction_.reverse_path;
    out += '>';
    if (capabilities_.size) {
        out += " SIZE=";
        append_number(out, transaction_.size_octets);
    }
    if (transaction_.body_type == BodyType::EightBitMime && capabilities_.eight_bit_mime) out += " BODY=8BITMIME";
    if (transaction_.smtputf8 || !paths_are_ascii_) out += " SMTPUTF8";
    if (transaction_.requires_tls) out += " REQUIRETLS";
    if (capabilities_.dsn) write_dsn(out);
    if (transaction_.mt_priority && capabilities_.mt_priority) {
        out += " MT-PRIORITY=";
        out += std::to_string(*transaction_.mt_priority);
    }
    if (transaction_.deliver_by && capabilities_.deliver_by) write_deliver_by(out);
    out += "\r\n";
}

// The time that is left. In by-mode N it may be over, which a negative number says; in by-mode R a server that wants more
// than there is would refuse, and is not told (RFC 2852 §4).
void ClientSession::write_deliver_by(std::string& out) const {
    constexpr std::int64_t kMost = 999'999'999;  // nine digits
    const DeliverBy& by = *transaction_.deliver_by;
    const bool may_be_late = by.mode == DeliverBy::Mode::Notify;
    const auto left = std::chrono::floor<std::chrono::seconds>(by.time - transaction_.now).count();
    if (left > kMost || left < -kMost) return;
    if (!may_be_late && (left <= 0 || left < static_cast<std::int64_t>(capabilities_.min_deliver_by))) return;
    out += " BY=";
    out += std::to_string(left);
    out += may_be_late ? ";N" : ";R";
    if (by.trace) out += 'T';
}

// What the submitter asked for, and nothing of our own (RFC 3461 §5.2.1). An X-EnvID may be what no ENVID can carry.
void ClientSession::write_dsn(std::string& out) const {
    if (transaction_.return_content == ReturnContent::Full) out += " RET=FULL";
    if (transaction_.return_content == ReturnContent::Headers) out += " RET=HDRS";
    if (transaction_.envelope_id.empty() || !is_printable_ascii(transaction_.envelope_id)) return;
    const std::size_t before = out.size();
    out += " ENVID=";
    const std::size_t value = out.size();
    append_xtext(out, transaction_.envelope_id);
    if (out.size() - value > kMaxEnvelopeIdOctets) out.resize(before);
}

void ClientSession::write_rcpt(std::string& out, std::size_t position) const {
    const Recipient& recipient = transaction_.recipients[position];
    out += "RCPT TO:<";
    out += recipient.address;
    out += '>';
    if (capabilities_.dsn) {
        if (recipient.notify != 0) append_notify(out, recipient.notify);
        if (!recipient.original.empty()) append_original_recipient(out, recipient.original);
    }
    out += "\r\n";
}

void ClientSession::write_chunk_command(std::string& out) const {
    out += "BDAT ";
    append_number(out, transaction_.chunk_octets);
    out += " LAST\r\n";
}

ClientSession::Step ClientSession::on_reset(std::string& out) {
    // A server that refuses RSET is in a state we do not know.
    if (!is_code(2)) return close(Ending::Garbage, parser_.to_reply());
    if (!pipelined_) write_mail(out);
    state_ = State::Mail;
    return Step::Wait;
}

ClientSession::Step ClientSession::on_mail(std::string& out) {
    if (is_code(2)) {
        if (!pipelined_) write_rcpt(out, 0);
        state_ = State::Rcpt;
        return Step::Wait;
    }
    if (is_code(3)) return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered MAIL with 3xx"));
    needs_reset_ = true;
    if (!pipelined_) return end_transaction(parser_.to_reply());
    // The replies to RCPT and DATA come all the same.
    mail_refusal_ = parser_.to_reply();
    state_ = State::Rcpt;
    return Step::Wait;
}

ClientSession::Step ClientSession::on_rcpt(std::string& out) {
    if (is_code(3)) return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered RCPT with 3xx"));
    if (!is_code(2) && mail_refusal_.code == 0) result_.refused.push_back({answered_, parser_.to_reply()});
    ++answered_;
    if (answered_ < transaction_.recipients.size()) {
        if (!pipelined_) write_rcpt(out, answered_);
        return Step::Wait;
    }
    return expect_end_of_recipients(out);
}

ClientSession::Step ClientSession::expect_end_of_recipients(std::string& out) {
    if (pipelined_) {
        state_ = is_chunked_ ? State::EndOfData : State::Data;
        return Step::Wait;
    }
    if (result_.refused.size() == transaction_.recipients.size()) {
        needs_reset_ = true;
        return end_transaction({});
    }
    out += "DATA\r\n";
    state_ = State::Data;
    return Step::Wait;
}

ClientSession::Step ClientSession::on_data(std::string& out) {
    const bool nobody = is_for_nobody();
    if (parser_.code() == 354 || is_code(3)) {
        if (!nobody) {
            state_ = State::Body;
            return Step::SendBody;
        }
        out += ".\r\n";
        dot_only_ = true;
        needs_reset_ = true;
        state_ = State::EndOfData;
        return Step::Wait;
    }
    if (is_code(2)) return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered DATA with 2xx"));
    needs_reset_ = true;
    return end_transaction(nobody ? Reply{} : parser_.to_reply());
}

void ClientSession::body_written() {
    require(state_ == State::Body);
    state_ = State::EndOfData;
}

ClientSession::Step ClientSession::on_end_of_data() {
    if (is_code(3)) return close(Ending::Garbage, own_words({4, 5, 0}, "the server answered the message with 3xx"));
    if (dot_only_) return end_transaction({});
    if (is_chunked_ && (!is_code(2) || is_for_nobody())) {
        needs_reset_ = true;
        return end_transaction(is_for_nobody() ? Reply{} : parser_.to_reply());
    }
    took_last_ = is_code(2) && result_.refused.empty();
    return end_transaction(parser_.to_reply());
}

ClientSession::Step ClientSession::end_transaction(Reply reply) {
    result_.ending = Ending::Replied;
    if (mail_refusal_.code != 0) {
        result_.phase = SmtpPhase::Mail;
        result_.reply = std::move(mail_refusal_);
    } else {
        result_.phase = row(state_).phase;
        result_.reply = std::move(reply);
    }
    state_ = State::Ready;
    return Step::TransactionDone;
}

TransactionResult ClientSession::take_result() {
    require(in_transaction_ && (state_ == State::Ready || state_ == State::Closed));
    in_transaction_ = false;
    return std::exchange(result_, {});
}

// --- the end -------------------------------------------------------------------------------------------

void ClientSession::quit(std::string& out) {
    require(state_ == State::Ready && !in_transaction_);
    out += "QUIT\r\n";
    state_ = State::Quit;
}

ClientSession::Step ClientSession::close(Ending ending, Reply reply) {
    const StateRow& where = row(state_);
    closing_phase_ = where.phase;
    closing_ending_ = ending;
    // A transaction that has ended but was not taken yet (state Ready) keeps the result it has.
    if (in_transaction_ && state_ != State::Ready) {
        result_.ending = ending;
        result_.phase = where.phase;
        result_.reply = reply;
        const bool may_have_it = is_chunked_ ? !is_for_nobody() : !where.outcome_known && !dot_only_;
        result_.outcome_known = !may_have_it || ending == Ending::Replied;
        if (ending == Ending::Garbage) doubt_refusals();
        if (mail_refusal_.code != 0) {
            result_.ending = Ending::Replied;
            result_.phase = SmtpPhase::Mail;
            result_.reply = std::move(mail_refusal_);
        }
    }
    closing_reply_ = std::move(reply);
    state_ = State::Closed;
    return Step::Closed;
}

void ClientSession::on_lost(std::string_view what) {
    if (state_ == State::Closed) return;
    std::string text(what);
    text += " while ";
    text += doing(state_);
    close(Ending::Lost, own_words({4, 4, 2}, std::move(text)));
}

void ClientSession::on_timed_out() {
    doubt_refusals();
    on_lost("timed out");
}

void ClientSession::doubt_refusals() {
    const bool in_envelope = state_ == State::Mail || state_ == State::Rcpt || state_ == State::Data;
    // The reply to a chunk is one of many; what came before it may have been for something else.
    if ((in_envelope && pipelined_) || (state_ == State::EndOfData && is_chunked_)) result_.refused.clear();
}

void ClientSession::abort(std::string_view why) {
    require(state_ == State::Body);
    close(Ending::Aborted, own_words({}, std::string(why)));
}

// --- content -------------------------------------------------------------------------------------------

std::string stuff_dots(std::string_view content, bool& at_line_start) {
    std::string out;
    out.reserve(content.size() + content.size() / 64 + 1);
    if (at_line_start && !content.empty() && content.front() == '.') out += '.';
    while (!content.empty()) {
        const std::size_t end = content.find('\n');
        const std::size_t taken = end == std::string_view::npos ? content.size() : end + 1;
        out.append(content.substr(0, taken));
        content.remove_prefix(taken);
        if (!content.empty() && content.front() == '.') out += '.';
        at_line_start = end != std::string_view::npos;
    }
    return out;
}

}  // namespace postfleet::smtp
