// The envelope of a mail transaction in ServerSession: MAIL, RCPT, DATA, RSET. The content is in server_content.cpp.
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/smtp/parameters.hpp"
#include "postfleet/smtp/path.hpp"
#include "postfleet/smtp/server_session.hpp"
#include "merge_dialogue.hpp"
#include "server_replies.hpp"

namespace postfleet::smtp {
namespace {

// Past the limit of recipients a client may go on for a while before it counts as a mistake: bulk senders
// send the whole list in one go and take the 452 as "the rest later" (RFC 5321 §4.5.3.1.10).
constexpr std::uint32_t kRecipientOvershoot = 1000;

}  // namespace

void ServerSession::mail(std::string_view argument, std::string& out) { begin_mail(argument, out); }

void ServerSession::begin_mail(std::string_view argument, std::string& out) {
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
    const ScheduleOffer schedule = policy_.schedule_offer(settings_->schedule);
    MailParameters parameters;
    const ParameterError error = parse_mail_parameters(argument, parameters,
                                                       {.future_release = schedule.max_hold.count() > 0,
                                                        .deliver_by = schedule.deliver_by,
                                                        .mt_priority = schedule.mt_priority,
                                                        .require_tls = settings_->offers_require_tls && secured_,
                                                        .verp = settings_->offers_merge});
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
    request.merges = is_merging();
    request.verp = parameters.verp;
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
    end_merge();
    mail_refused_ = true;
    refused_recipients_ = 0;
    answer_refusal(decision.reply, out);
    if (draining_) drain(out);
}

// A pipelining client has sent RCPT and DATA before it could know.
bool ServerSession::follows_refused_mail(Verb verb) {
    return mail_refused_ &&
           (verb == Verb::Rcpt || verb == Verb::Data || verb == Verb::Bdat || verb == Verb::Xdfn ||
            verb == Verb::Xprt) &&
           ++refused_recipients_ <= kRecipientOvershoot;
}

void ServerSession::rcpt(std::string_view argument, std::string& out) {
    if (is_merging() && std::exchange(merge_->definition_failed, false)) {
        ++refused_recipients_;
        merge_->variables = {};
        return mistake(Refusal::Sequence, kRefusedVariables, out);
    }
    // What is refused below takes its variables with it.
    MergeVariables variables;
    if (is_merging()) variables = std::exchange(merge_->variables, {});
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
    Decision decision = policy_.on_rcpt(
        {std::move(path.mailbox), parameters.notify, std::move(parameters.original), std::move(variables)});
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
    if (answer_withheld(out)) return draining_ ? drain(out) : void();
    if (!argument.empty()) return mistake(Refusal::Syntax, kNoArgument, out);
    if (is_merging()) return mistake(Refusal::Sequence, kNeedParts, out);
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

void ServerSession::abandon() {
    if (!std::exchange(in_transaction_, false)) return;
    release_content();
    end_merge();
    policy_.on_abandoned();
}

}  // namespace postfleet::smtp
