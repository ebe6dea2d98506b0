#include "postfleet/ingest/our_mail.hpp"

#include <utility>

#include "postfleet/ingest/intake.hpp"

namespace postfleet::ingest {

OurMail::Verdict OurMail::collect(SharedOctets chunk) {
    if (!allows(collected_ + chunk->size())) return Verdict::TooBig;
    if (collected_of_shard_ + chunk->size() > kMaxCollected) return Verdict::TooMuchAtOnce;
    collected_ += chunk->size();
    collected_of_shard_ += chunk->size();
    chunks_.push_back(std::move(chunk));
    return Verdict::Taken;
}

MailForUs OurMail::finish(const Message& message, SharedOctets last_chunk) {
    MailForUs mail;
    mail.id = message.id;
    mail.reverse_path = message.reverse_path;
    mail.recipients = addresses_;
    mail.prepended_header = message.prepended_header;
    mail.content = std::exchange(chunks_, {});
    mail.content.push_back(std::move(last_chunk));
    return mail;
}

// Whoever sends mail for us needs no right to relay.
std::optional<smtp::Decision> Intake::take_our_mail(const smtp::RcptRequest& request) {
    if (rules_->our_mail == nullptr || !shard_.desk().keeps_our_mail()) return std::nullopt;
    if (merge_ != nullptr) return std::nullopt;  // a text with variables is no mail yet: merged, it comes back to us
    const bool is_postmaster = request.mailbox.domain.empty();
    const std::string& domain = is_postmaster ? rules_->session.hostname : request.mailbox.domain;
    const config::IntakeDomain* const ours = rules_->our_domain(domain);
    if (ours == nullptr) return std::nullopt;
    if (auto refusal = throttle(Arrival::Recipient)) {
        ++refused_recipients_;
        return refusal;
    }
    if (our_mail_ == nullptr) {
        our_mail_ = std::make_unique<OurMail>(shard_.our_mail_octets(), rules_->our_mail->max_message_size);
    }
    if (!our_mail_->allows(declared_octets_)) {
        ++refused_recipients_;
        return refuse_our_mail(OurMail::Verdict::TooBig);
    }
    std::string address = is_postmaster ? "postmaster@" + domain : request.mailbox.to_string();
    our_mail_->add({.kind = ours->kind, .tenant = ours->tenant, .address = std::move(address)});
    return smtp::Decision::accept();
}

smtp::Decision Intake::refuse_our_mail(OurMail::Verdict verdict) {
    if (verdict == OurMail::Verdict::TooMuchAtOnce) {
        return refuse(Reason::StoreBusy, 451, {4, 3, 2}, "Too much mail at once, try later");
    }
    return refuse(Reason::OurMailTooBig, 552, {5, 3, 4}, "Message too big for this address");
}

smtp::Decision Intake::keep_our_mail(AcceptedMessage&& accepted) {
    if (!our_mail_->allows(message_->size_octets)) {
        smtp::Decision refusal = refuse_our_mail(OurMail::Verdict::TooBig);
        on_abandoned();
        return refusal;
    }
    MailForUs mail = our_mail_->finish(*message_, accepted.last_chunk);
    if (!accepted.tasks.empty()) our_mail_->others = std::move(accepted);
    asked_ = Asked::OurMail;
    ticket_ = shard_.desk().keep(*this, std::move(mail));
    return smtp::Decision::wait();
}

// Nothing: ours is kept, and the rest is on its way.
std::optional<smtp::Decision> Intake::our_mail_answer_of(const Status& status) {
    if (status) {
        if (!our_mail_->others) return answer_of(status);
        asked_ = Asked::Message;
        ticket_ = shard_.desk().hand_over(*this, *std::exchange(our_mail_->others, std::nullopt));
        return std::nullopt;
    }
    if (appended_chunks_ > 0) shard_.desk().discard(message_->id, std::exchange(appended_chunks_, 0));
    smtp::Decision decision = status.error().kind == ErrorKind::ResourceExhausted
                                  ? refuse(Reason::StorageLow, 452, {4, 3, 1}, "Insufficient system storage, try later")
                                  : refusal_of(status.error());
    log_refused(accepted_recipients_);
    message_ = nullptr;
    our_mail_ = nullptr;
    return decision;
}

}  // namespace postfleet::ingest
