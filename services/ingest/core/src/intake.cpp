#include "postfleet/ingest/intake.hpp"

#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/mime/received.hpp"

namespace postfleet::ingest {
namespace {

constexpr EnhancedStatus kSystemNotAccepting{4, 3, 2};
constexpr EnhancedStatus kSystemFull{4, 3, 1};
constexpr EnhancedStatus kSystemTrouble{4, 3, 0};

}  // namespace

Intake::Intake(IntakeShard& shard, ListenerShared& listener, std::shared_ptr<const ListenerRules> rules,
               const IpAddress& client, IntakeDriver& driver)
    : shard_(shard), listener_(listener), driver_(driver), client_(client) {
    use(std::move(rules));
}

Intake::~Intake() {
    if (ticket_) shard_.desk().forget(ticket_);
    merge_ = nullptr;
    if (entered_as_) listener_.limits.leave(*entered_as_);
    if (is_shaking_hands_) listener_.process.handshakes.give_back();
    may_hold_content(0);
}

void Intake::use(std::shared_ptr<const ListenerRules> rules) {
    require(message_ == nullptr);
    rules_ = std::move(rules);
    may_relay_ = origin_ != nullptr || (has_rights_ && rules_->may_relay(client_));
    login_ = nullptr;
    if (user_ != nullptr) user_ = rules_->users != nullptr ? rules_->users->find(user_->name) : nullptr;
}

smtp::Decision Intake::refuse(Reason reason, int code, EnhancedStatus enhanced, std::string text) {
    shard_.counters().refused(reason);
    if (code >= 500) count_error();
    last_refusal_ = {to_string(reason), code, text};
    // A transaction has one line, at its end.
    if (message_ == nullptr) log_refused(0);
    return smtp::Decision::refuse(code, enhanced, std::move(text));
}

smtp::Decision Intake::on_mail(smtp::MailRequest&& request) {
    const Admission admission = shard_.desk().admission();
    if (!admission.open) {
        if (admission.space_low) {
            return refuse(Reason::StorageLow, 452, kSystemFull, "Insufficient system storage, try later");
        }
        return refuse(Reason::NotAccepting, 451, kSystemTrouble, "Not taking mail right now, try later");
    }
    if (listener_.process.content.is_nearly_full(rules_->limits.memory_for_incoming)) {
        return refuse(Reason::MemoryLow, 451, kSystemNotAccepting, "Too much mail at once, try later");
    }
    if (auto refusal = check_sender(request.reverse_path)) return std::move(*refusal);
    if (auto refusal = take_account_place()) return std::move(*refusal);
    if (auto refusal = throttle(Arrival::Message)) return std::move(*refusal);
    message_ = std::make_shared<Message>();
    message_->reverse_path = std::move(request.reverse_path);
    message_->body_type = request.body;
    message_->return_content = request.return_content;
    declared_octets_ = request.declared_size_octets;
    message_->envelope_id = std::move(request.envelope_id);
    utf8_ = request.smtputf8;
    if (request.require_tls) message_->tls_wish = TlsWish::Required;
    if (!take_schedule(request.schedule, *message_)) {
        message_ = nullptr;
        return refuse(Reason::HeldTooLong, 501, {5, 5, 4}, "Held longer than is offered");
    }
    message_->tenant = user_ != nullptr ? user_->tenant : rules_->listener.tenant;
    if (user_ != nullptr) message_->user = user_->name;
    if (origin_ != nullptr) take_origin(*message_);
    message_->listener = rules_->listener.name;
    if (origin_ == nullptr) {
        message_->client_address = client_.to_string();
        if (server_) message_->server_address = server_->to_string();
        message_->helo = request.hello_name;
    }
    extended_ = request.extended;
    if (passed_on_ != nullptr) {
        if (!passed_on_->hello_name.empty()) message_->helo = passed_on_->hello_name;
        extended_ = passed_on_->extended.value_or(extended_);
    }
    begin_merge(request);
    last_refusal_ = {};
    refused_recipients_ = 0;
    return smtp::Decision::accept();
}

WallTime Intake::now() const { return shard_.executor().wall_now(); }

smtp::Decision Intake::on_rcpt(smtp::RcptRequest&& request) {
    if (auto ours = take_our_mail(request)) return std::move(*ours);
    if (!may_relay_ && user_ == nullptr) {
        ++refused_recipients_;
        return refuse(Reason::RelayingDenied, 550, {5, 7, 1}, "Relaying denied");
    }
    if (auto refusal = throttle(Arrival::Recipient)) {
        ++refused_recipients_;
        return std::move(*refusal);
    }
    // <postmaster> is ours (RFC 5321 §4.5.1).
    if (request.mailbox.domain.empty()) request.mailbox.domain = rules_->session.hostname;
    if (merge_ != nullptr || message_->verp) {
        if (auto refusal = check_recipient_variables(request)) {
            ++refused_recipients_;
            return std::move(*refusal);
        }
    }
    recipients_.add(std::move(request));
    return smtp::Decision::accept();
}

smtp::Decision Intake::on_header(std::string& content) {
    HeaderFacts facts = HeaderFacts::gather(content, rules_->listener.headers, rules_->wanted_headers);
    if (origin_ != nullptr && !origin_->virtual_mta.empty()) facts.virtual_mta = origin_->virtual_mta;
    if (origin_ != nullptr && !origin_->job.empty()) facts.job = origin_->job;
    if (auto refusal = check_header(facts)) return std::move(*refusal);
    // What is merged has a header for each recipient: see finish_merge().
    if (merge_ == nullptr) {
        if (auto refusal = check_header_senders(content)) return std::move(*refusal);
    }
    if (recipients_.recipients() > 0) {
        if (auto refusal = take_windows(facts.schedule)) return std::move(*refusal);
        if (auto refusal = bind(facts)) return std::move(*refusal);
    }
    fields_seen_ = facts.seen;
    ruler_ = {};
    needs_blank_line_ = !facts.has_fields && !content.starts_with("\r\n");
    message_->id = origin_ != nullptr ? origin_->id : shard_.next_id();
    message_->job = std::move(facts.job);
    message_->dkim_options = std::move(facts.dkim_options);
    if (!facts.envelope_id.empty()) message_->envelope_id = std::move(facts.envelope_id);
    // What SMTPUTF8 was announced for: without UTF-8 in header or paths the message is an ordinary one.
    const std::string_view header = std::string_view(content).substr(0, facts.header_octets);
    message_->smtputf8 = utf8_ && !(is_ascii(header) && is_ascii(message_->reverse_path));
    // The envelope's wish goes before the header's (RFC 8689 §4.1).
    if (facts.tls_not_required && message_->tls_wish == TlsWish::NotGiven) message_->tls_wish = TlsWish::Waived;
    message_->header_from = std::move(facts.from);
    message_->header_message_id = std::move(facts.message_id);
    message_->header_subject = std::move(facts.subject);
    for (const routing::HeaderField& field : facts.wanted) {
        const auto& names = rules_->recorded_headers;
        const auto name =
            std::find_if(names.begin(), names.end(), [&](auto& n) { return ascii_iequals(n, field.name); });
        if (name != names.end()) message_->recorded_headers.emplace_back(*name, field.value.substr(0, kMaxKeptField));
    }
    if (rules_->listener.remove_bcc) facts.remove_blind_copies();
    facts.strip(content);
    if (auto refusal = fold_header(facts, content)) return std::move(*refusal);
    return smtp::Decision::accept();
}

// Binds every task, or says why not. One question to the rules when they do not look at the recipient.
std::optional<smtp::Decision> Intake::bind(const HeaderFacts& facts) {
    const routing::Snapshot& routing = *rules_->routing;
    routing::BindRequest request;
    request.virtual_mta = facts.virtual_mta;
    request.headers = facts.wanted;
    request.mail_from = message_->reverse_path;
    if (origin_ == nullptr) request.client = client_;
    request.listener = rules_->listener.name;
    request.tenant = message_->tenant;
    request.job = facts.job;
    request.user = message_->user;
    request.user_virtual_mta = user_ != nullptr ? user_->virtual_mta : rules_->virtual_mta;
    routing::BindResult bound;
    for (Task& task : recipients_.tasks()) {
        if (merge_ != nullptr) {
            request.virtual_mta = facts.virtual_mta;
            request.job = facts.job;
            take_binding_variables(task, request);
        }
        if (task.key.number == 0 || merge_ != nullptr || routing.depends_on_recipient()) {
            request.rcpt_domain = task.domain;
            bound = routing.bind(request, weight_choice(task.key.number));
            if (!bound) return refuse(Reason::UnknownVirtualMta, 554, {5, 3, 5}, std::move(bound.refusal));
        }
        task.virtual_mta = bound.virtual_mta;
        task.pool = bound.pool;
        task.priority = message_->mt_priority ? priority_of(*message_->mt_priority) : bound.priority;
        if (const auto own = task.recipients.front().variables.find("*priority"))
            task.priority = priority_of_variable(*own);
    }
    const Task& first = recipients_.tasks().front();
    message_->pool = first.pool;
    message_->priority = first.priority;
    return std::nullopt;
}

smtp::Decision Intake::on_chunk(SharedOctets chunk, std::uint32_t number) {
    if (auto refusal = check_lines(*chunk)) return std::move(*refusal);
    if (our_mail_ != nullptr) {
        const OurMail::Verdict verdict = our_mail_->collect(chunk);
        if (verdict != OurMail::Verdict::Taken) return refuse_our_mail(verdict);
        if (recipients_.recipients() == 0) return smtp::Decision::accept();
    }
    if (merge_ != nullptr) merge_->take(chunk);
    appended_chunks_ = number + 1;
    asked_ = Asked::Chunk;
    ticket_ = shard_.desk().append(*this, message_->id, number, std::move(chunk));
    return smtp::Decision::wait();
}

smtp::Decision Intake::on_end_of_data(smtp::ContentEnd&& end) {
    auto refusal = check_lines(end.last_chunk);
    if (!refusal && message_->has_long_lines) refusal = shorten_lines(end);
    AcceptedMessage accepted;
    accepted.last_chunk = std::make_shared<const std::string>(std::move(end.last_chunk));
    if (!refusal && merge_ != nullptr) {
        merge_->take(accepted.last_chunk);
        refusal = finish_merge(std::move(end.parts));
    }
    if (refusal) {
        on_abandoned();
        return std::move(*refusal);
    }
    complete_message(end);
    accepted.message = message_;
    accepted.tasks = std::exchange(recipients_, {}).take_tasks();
    set_times(accepted.tasks);
    for (Task& task : accepted.tasks) {
        task.key.message = message_->id;
        task.tenant = message_->tenant;
        task.job = task.recipients.front().variables.find("*jobid").value_or(message_->job);
        task.size_octets = message_->size_octets;
    }
    if (origin_ != nullptr) accepted.taken_as = origin_->taken_as;
    if (our_mail_ != nullptr) return keep_our_mail(std::move(accepted));
    asked_ = Asked::Message;
    ticket_ = shard_.desk().hand_over(*this, std::move(accepted));
    return smtp::Decision::wait();
}

void Intake::add_header(Message& message) {
    const config::Listener& listener = rules_->listener;
    const bool hidden = origin_ != nullptr || listener.received == config::ReceivedField::HideClient;
    if (listener.received != config::ReceivedField::None) {
        mime::append_received(message.prepended_header, {.hello_name = hidden ? std::string_view() : message.helo,
                                                         .client_literal = client_.to_literal(),
                                                         .by = rules_->session.hostname,
                                                         .protocol = protocol(),
                                                         .tls = tls_ ? tls_->protocol + " " + tls_->cipher : "",
                                                         .id = message.id.to_string(),
                                                         .only_recipient = only_recipient(),
                                                         .date = shard_.date()});
    }
    if (listener.message_checks != config::MessageChecks::Repair) return;
    if ((fields_seen_ & kDate) == 0) message.prepended_header.append("Date: ").append(shard_.date()).append("\r\n");
    if ((fields_seen_ & kMessageId) == 0) {
        message.header_message_id = "<" + message.id.to_string() + "@" + rules_->session.hostname + ">";
        message.prepended_header.append("Message-ID: ").append(message.header_message_id).append("\r\n");
    }
}

void Intake::complete_message(const smtp::ContentEnd& end) {
    Message& message = *message_;
    message.accepted_at = shard_.executor().wall_now();
    message.size_octets = end.size_octets;
    message.content_chunks = end.chunks;
    message.has_leading_dots = end.has_leading_dots;
    if (end.has_eight_bit) message.body_type = BodyType::EightBitMime;
    add_header(message);
    // What would follow our field directly is not a header: a blank line keeps it in the body.
    if (needs_blank_line_) message.prepended_header.append("\r\n");
    accepted_recipients_ = recipients_.recipients() + (our_mail_ != nullptr ? our_mail_->recipients() : 0);
    accepted_virtual_mta_ = recipients_.recipients() > 0 ? recipients_.tasks().front().virtual_mta : "";
}

std::string_view Intake::only_recipient() const {
    if (our_mail_ == nullptr) return recipients_.only_recipient();
    return recipients_.recipients() == 0 ? our_mail_->only_recipient() : std::string_view();
}

void Intake::on_answer(const Status& status) {
    ticket_ = {};
    switch (asked_) {
        case Asked::Chunk: return driver_.resume(chunk_answer_of(status));
        case Asked::Message: return driver_.resume(answer_of(status));
        case Asked::OurMail: break;
    }
    if (auto decision = our_mail_answer_of(status)) driver_.resume(std::move(*decision));
}

smtp::Decision Intake::answer_of(const Status& status) {
    const std::unique_ptr<OurMail> ours = std::exchange(our_mail_, nullptr);
    // The part for us was kept: the client may send it again with the rest.
    if (!status && ours != nullptr) shard_.counters().unanswered.add();
    end_merge();
    if (status) {
        const std::shared_ptr<Message> message = std::exchange(message_, nullptr);
        listener_.counters.messages.add();
        listener_.counters.recipients.add(accepted_recipients_);
        listener_.counters.octets.add(message->size_octets);
        log_accepted(*message, ours.get());
        return smtp::Decision::accept({250, {2, 0, 0}, "Ok: queued as " + message->id.to_string()});
    }
    // Not known is not the same as no: then the content must stay.
    if (appended_chunks_ > 0 && status.error().kind != ErrorKind::DeadlineExceeded) {
        shard_.desk().discard(message_->id, appended_chunks_);
    }
    appended_chunks_ = 0;
    smtp::Decision decision = refusal_of(status.error());
    log_refused(accepted_recipients_);
    message_ = nullptr;
    return decision;
}

smtp::Decision Intake::chunk_answer_of(const Status& status) {
    if (status) return smtp::Decision::accept();
    // An append that is still under way is discarded by the desk when it ends.
    if (status.error().kind == ErrorKind::DeadlineExceeded) appended_chunks_ = 0;
    return refusal_of(status.error());
}

smtp::Decision Intake::refusal_of(const Error& error) {
    if (error.kind != ErrorKind::ResourceExhausted) {
        shard_.log()
            .line(LogLevel::Warning, "hand-over-failed")
            .field("error", to_string(error.kind))
            .field("text", error.text);
    }
    switch (error.kind) {
        case ErrorKind::ResourceExhausted:
            if (!shard_.desk().admission().space_low) {
                return refuse(Reason::StoreBusy, 451, kSystemNotAccepting, "Too much mail at once, try later");
            }
            return refuse(Reason::StorageLow, 452, kSystemFull, "Insufficient system storage, try later");
        case ErrorKind::DeadlineExceeded:
            return refuse(Reason::StoreTooSlow, 451, kSystemTrouble, "Could not store the message in time, try later");
        case ErrorKind::InvalidArgument:
        case ErrorKind::PermissionDenied:
            return refuse(Reason::StoreFailed, 554, {5, 3, 0}, "The message cannot be stored");
        case ErrorKind::NotFound:
        case ErrorKind::AlreadyExists:
        case ErrorKind::Unavailable:
        case ErrorKind::Corruption:
        case ErrorKind::Cancelled:
        case ErrorKind::Internal: break;
    }
    return refuse(Reason::StoreFailed, 451, kSystemTrouble, "Could not store the message, try later");
}

void Intake::on_abandoned() {
    log_refused(recipients_.recipients());
    if (ticket_) {
        // In flight: whatever comes of it, the desk cleans up and counts.
        shard_.desk().forget(std::exchange(ticket_, {}));
        // While ours is being kept, nothing of the rest is in flight.
        if (asked_ == Asked::OurMail && appended_chunks_ > 0) shard_.desk().discard(message_->id, appended_chunks_);
    } else if (appended_chunks_ > 0) {
        shard_.desk().discard(message_->id, appended_chunks_);
    }
    appended_chunks_ = 0;
    message_ = nullptr;
    our_mail_ = nullptr;
    recipients_ = {};
    end_merge();
}

void Intake::on_refusal(smtp::Refusal refusal) {
    shard_.counters().refused(refusal);
    const bool is_mistake = refusal != smtp::Refusal::TimedOut && refusal != smtp::Refusal::ShuttingDown;
    if (is_mistake) count_error();
    if (message_ != nullptr) last_refusal_ = {to_string(refusal), 0, {}};
    if (!shard_.log().is_on(LogLevel::Debug)) return;
    auto line = shard_.log().line(LogLevel::Debug, "mistake");
    line.field("listener", rules_->listener.name);
    name_client(line);
    line.field("reason", to_string(refusal));
}

// A transaction that ended without a message, or what never became one.
void Intake::log_refused(std::uint32_t recipients) const {
    const Log& log = shard_.log();
    if (!log.is_on(LogLevel::Info)) return;
    auto line = log.line(LogLevel::Info, "refused");
    line.field("listener", rules_->listener.name);
    name_client(line);
    line.field("reason", last_refusal_.reason);
    if (last_refusal_.code != 0) line.field("code", last_refusal_.code).field("reply", last_refusal_.reply);
    if (user_ != nullptr) line.field("user", user_->name);
    if (message_ == nullptr) return;
    line.field("helo", message_->helo).field("from", message_->reverse_path);
    line.field("recipients", recipients).field("refused_recipients", refused_recipients_);
}

void Intake::log_accepted(const Message& message, const OurMail* ours) const {
    const Log& log = shard_.log();
    if (!log.is_on(LogLevel::Info) || !rules_->log_accepted) return;
    auto line = log.line(LogLevel::Info, "accepted");
    line.field("id", message.id.to_string()).field("listener", message.listener);
    name_client(line);
    if (origin_ == nullptr) line.field("helo", message.helo);
    line.field("from", message.reverse_path).field("recipients", accepted_recipients_);
    if (refused_recipients_ > 0) line.field("refused_recipients", refused_recipients_);
    if (ours != nullptr) line.field("for_us", ours->recipients());
    line.field("size", message.size_octets).field("virtual_mta", accepted_virtual_mta_);
    line.field("tenant", message.tenant);
    if (!message.user.empty()) line.field("user", message.user);
    if (tls_) line.field("tls", tls_->protocol).field("cipher", tls_->cipher);
    if (tls_ && !tls_->certificate_fingerprint.empty()) {
        line.field("certificate", tls_->certificate_fingerprint).field("verified", tls_->is_certificate_verified);
    }
    if (!message.pool.empty()) line.field("pool", message.pool);
    if (!message.job.empty()) line.field("job", message.job);
    if (message.merge) line.field("parts", message.merge.parts.size());
}

}  // namespace postfleet::ingest
