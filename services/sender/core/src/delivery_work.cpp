// The work of a DeliverySession: a task is prepared, paced, sent and judged.

#include <algorithm>
#include <utility>

#include "delivery_session.hpp"
#include "postfleet/mail/delivery_windows.hpp"

namespace postfleet::sender {

// --- taking work ---------------------------------------------------------------------------------------

void DeliverySession::next_work() {
    const std::uint32_t most =
        std::min({settings_->max_messages_per_connection, smtp_->capabilities().max_transactions, most_transactions_});
    if (draining_ || transactions_ >= most) return quit();
    Queue::Next next = queue_->next_for(shared_from_this(), shard_);
    switch (next.kind) {
        case Queue::Next::Kind::Work: return prepare(std::move(next.work));
        case Queue::Next::Kind::Idle: return become_idle();
        case Queue::Next::Kind::Quit: return quit();
    }
}

void DeliverySession::assign(Work&& work) {
    const auto self = shared_from_this();
    if (phase_ != Phase::Idle) {  // it closed while the work was on its way
        queue_->put_back(std::move(work), shard_);
        return;
    }
    prepare(std::move(work));
}

void DeliverySession::prepare(Work&& work) {
    if (!trace_ && engine_.traces->is_wanted()) join_trace("next message on a connection of ");
    phase_ = Phase::Working;
    settings_ = work.settings;
    if (work.hot && work.hot->first_chunk) {
        work_ = std::move(work);
        return render();
    }
    is_loading_ = true;
    engine_.load(std::move(work), shard_, [self = shared_from_this()](Work&& loaded, Status status) {
        DeliverySession& session = *self;
        session.is_loading_ = false;
        session.work_ = std::move(loaded);
        if (!status) {
            session.holds_turn_ = false;
            session.engine_.give_up_unreadable(std::exchange(session.work_, {}), status.error(), session.shard_);
            if (session.phase_ != Phase::Working) return;
            session.queue_->release_turn(session, session.shard_);
            return session.next_work();
        }
        if (session.phase_ != Phase::Working) return session.drop_work();  // it closed meanwhile
        session.render();
    });
}

// True: its window has closed meanwhile, and it waits for the next one, or for its end.
bool DeliverySession::is_out_of_windows(std::span<const DeliveryWindow> windows) {
    const WallTime now = shard_.executor->wall_now();
    const WallTime next = next_in_windows(windows, now).value_or(work_.expires);
    if (next <= now) return false;
    const auto queue = queue_;
    queue->release_turn(*this, shard_);
    queue->put_aside(std::exchange(work_, {}), next, shard_);
    shard_.executor->post([self = shared_from_this()] {
        if (self->phase_ == Phase::Working && !self->work_) self->next_work();
    });
    return true;
}

// Nearly all mail goes out as it is stored.
void DeliverySession::render() {
    HotTask& hot = *work_.hot;
    const std::shared_ptr<const Message>& message = hot.own_message();
    if (!message->windows.empty() && is_out_of_windows(message->windows)) return;
    const RenditionForm form = engine_.renditions.form_for(*message, smtp_->capabilities());
    if (form.is_as_stored()) return pace();
    is_loading_ = true;
    RenditionOrder order{
        .message = message, .first_chunk = hot.first_chunk, .form = form, .now = shard_.executor->wall_now()};
    if (form.is_merged) order.merge = {hot.message, hot.task.recipients.front()};
    engine_.renditions.make(std::move(order),
                            {shard_.executor, [self = shared_from_this(),
                                               work = std::exchange(work_, {})](RenditionOutcome outcome) mutable {
                                 self->on_rendered(std::move(work), std::move(outcome));
                             }});
}

void DeliverySession::on_rendered(Work&& work, RenditionOutcome outcome) {
    is_loading_ = false;
    switch (outcome.kind) {
        case RenditionOutcome::Kind::Ready:
            work_ = std::move(work);
            if (phase_ != Phase::Working) return drop_work();  // it closed meanwhile
            work_.rendition = std::move(outcome.rendition);
            return pace();
        case RenditionOutcome::Kind::Refused: engine_.refuse(std::move(work), std::move(outcome.reply), shard_); break;
        case RenditionOutcome::Kind::Failed:
            engine_.fail_rendering(std::move(work), std::move(outcome.reply.text), shard_);
            break;
        case RenditionOutcome::Kind::Unreadable:
            engine_.give_up_unreadable(std::move(work), outcome.error, shard_);
            break;
        case RenditionOutcome::Kind::Busy: engine_.put_aside(std::move(work), kBusyRest, shard_); break;
    }
    if (phase_ != Phase::Working) return;
    queue_->release_turn(*this, shard_);
    next_work();
}

void DeliverySession::drop_work() {
    drop_companions();
    if (!work_) return;
    queue_->put_back(std::exchange(work_, {}), shard_);
}

// Behind the task that they followed, in their order.
void DeliverySession::drop_companions() {
    for (std::vector<Work> dropped = std::exchange(companions_, {}); !dropped.empty(); dropped.pop_back()) {
        queue_->put_back(std::move(dropped.back()), shard_);
    }
}

// The permit is taken when everything else is ready, so that nothing but the write comes between it and the RCPT.
void DeliverySession::pace() {
    if (!engine_.orders.is_empty() && engine_.is_ordered(work_)) return give_up_ordered();
    if (!work_.is_paced) return begin_transaction();
    const SteadyTime now = shard_.executor->precise_now();
    if (const auto wait = queue_->take_message_permit(*this, octets_on_the_wire(), now)) {
        if (*wait > now + settings_->idle_timeout) {  // not worth an open connection: the queue's timer waits for it
            queue_->wait_for_permit(*this, *wait);
            drop_work();
            return quit();
        }
        pace_timer_ = shard_.executor->schedule_at(*wait, [self = shared_from_this()] {
            self->pace_timer_ = {};
            if (self->phase_ == Phase::Working && self->work_) self->pace();
        });
        return;
    }
    holds_turn_ = true;
    begin_transaction();
}

std::uint64_t DeliverySession::octets_on_the_wire() const {
    const Message& message = *work_.hot->message;
    return work_.rendition ? work_.rendition->size_octets : message.prepended_header.size() + message.size_octets;
}

// An order came while it was read, made or waited for its permit.
void DeliverySession::give_up_ordered() {
    engine_.obey(std::exchange(work_, {}), shard_);
    queue_->release_turn(*this, shard_);
    go_on_later();
}

// Not from where it is found out: a thousand tasks that cannot be sent would be a thousand frames deep.
void DeliverySession::go_on_later() {
    shard_.executor->post([self = shared_from_this()] {
        if (self->phase_ == Phase::Working && !self->work_ && !self->is_loading_) self->next_work();
    });
}

void DeliverySession::begin_transaction() {
    HotTask& hot = *work_.hot;
    std::size_t most =
        std::min<std::size_t>(settings_->max_recipients_per_transaction, smtp_->capabilities().max_recipients);
    if (work_.is_one_recipient) most = 1;
    recipients_ = static_cast<std::uint32_t>(std::min(most, hot.task.recipients.size()));
    if (!settings_->warm_up.values.empty()) {
        recipients_ = queue_->take_warm_up(recipients_, shard_.executor->wall_now());
        if (recipients_ == 0) return give_up_for_today();
    }
    const std::span<const Recipient> recipients = gather_recipients(most);
    recipients_ = static_cast<std::uint32_t>(recipients.size());
    const Message& message = *hot.own_message();
    const Rendition* const rendition = work_.rendition.get();
    const smtp::ClientTransaction transaction{
        .reverse_path = message.reverse_path,
        .recipients = recipients,
        .body_type = rendition ? rendition->body_type : message.body_type,
        .smtputf8 = message.smtputf8,
        .requires_tls = message.tls_wish == TlsWish::Required,
        .is_peer_verified = message.tls_wish == TlsWish::Required && is_peer_verified(),
        .return_content = message.return_content,
        .envelope_id = message.envelope_id,
        .size_octets = octets_on_the_wire(),
        .chunk_octets = chunk_octets(),
        .mt_priority = message.mt_priority,
        .deliver_by = message.deliver_by,
        .now = shard_.executor->wall_now(),
    };
    began_at_ = shard_.executor->now();
    body_ = {};
    tally_success();
    const auto step = smtp_->begin(transaction, out_);
    if (step == smtp::ClientSession::Step::SendBody) send_body();
    if (step == smtp::ClientSession::Step::TransactionDone) {
        finish_transaction();  // the server cannot take this one
        return go_on_later();
    }
    if (in_handler_) return;  // on_data flushes
    flush();
    set_phase_deadline();
    maybe_pass_turn();
}

// The recipients of the task, and those of further tasks of its message where a site has several domains that may share
// a transaction. What is counted one by one (rates, warm-up) goes by itself.
std::span<const Recipient> DeliverySession::gather_recipients(std::size_t most) {
    const std::vector<Recipient>& own = work_.hot->task.recipients;
    together_.clear();
    const std::size_t domains = std::min(settings_->max_domains_per_transaction, smtp_->capabilities().max_domains);
    const bool is_alone = domains < 2 || !work_.shares_message || work_.is_paced || recipients_ < own.size() ||
                          !settings_->warm_up.values.empty() || !engine_.orders.is_empty() ||
                          merge::is_personal(*work_.hot->message);
    if (is_alone) return std::span(own).first(recipients_);
    std::size_t count = own.size();
    while (companions_.size() + 1 < domains) {
        Work companion = queue_->take_companion(work_, shard_.executor->wall_now());
        if (!companion) break;
        count += companion.hot->task.recipients.size();
        if (count > most) {
            queue_->put_back(std::move(companion), shard_);
            break;
        }
        companions_.push_back(std::move(companion));
    }
    if (companions_.empty()) return own;
    together_ = own;
    for (const Work& companion : companions_) {
        together_.insert(together_.end(), companion.hot->task.recipients.begin(), companion.hot->task.recipients.end());
    }
    return together_;
}

// Others have used the last of the warm-up limit meanwhile.
void DeliverySession::give_up_for_today() {
    if (std::exchange(holds_turn_, false)) queue_->release_turn(*this, shard_);
    drop_work();
    shard_.executor->post([self = shared_from_this()] {
        if (self->phase_ == Phase::Working && !self->work_) self->next_work();
    });
}

// The turn goes on when our RCPT is on its way: with pipelining at once, else after MAIL's reply.
void DeliverySession::maybe_pass_turn() {
    if (!holds_turn_ || (smtp_ && smtp_->phase() == SmtpPhase::Mail && !smtp_->is_pipelining())) return;
    holds_turn_ = false;
    queue_->pass_turn(*this, shard_.executor->precise_now(), shard_);
}

// --- the body ------------------------------------------------------------------------------------------

const SharedOctets& DeliverySession::first_octets() const {
    const Rendition* const rendition = work_.rendition.get();
    return rendition && rendition->content ? rendition->content : work_.hot->first_chunk;
}

// What the message has if it may go as one chunk with its envelope, as it is in memory; else 0.
std::uint64_t DeliverySession::chunk_octets() const {
    if (!settings_->chunking || work_.content_chunks() != 1) return 0;
    const Rendition* const rendition = work_.rendition.get();
    const std::string& content = *first_octets();
    const std::uint64_t octets =
        content.size() + (rendition ? rendition->header : work_.hot->message->prepended_header).size();
    return octets <= kMostChunkOctets && content.ends_with("\r\n") ? octets : 0;
}

void DeliverySession::send_body() { send_chunk(first_octets()); }

void DeliverySession::send_chunk(const SharedOctets& chunk) {
    const Message& message = *work_.hot->message;
    const Rendition* const rendition = work_.rendition.get();
    WritePiece pieces[4];
    std::size_t n = 0;
    if (!out_.empty()) pieces[n++] = {out_, nullptr};
    if (body_.chunk == 0 && rendition) pieces[n++] = {rendition->header, work_.rendition};
    if (body_.chunk == 0 && !rendition) pieces[n++] = {message.prepended_header, work_.hot->message};
    const bool has_dots = rendition ? rendition->has_leading_dots : message.has_leading_dots;
    if (has_dots && !smtp_->is_chunked()) {
        auto stuffed = std::make_shared<const std::string>(smtp::stuff_dots(*chunk, body_.at_line_start));
        pieces[n++] = {*stuffed, stuffed};
    } else {
        if (!chunk->empty()) body_.at_line_start = chunk->back() == '\n';
        pieces[n++] = {*chunk, chunk};
    }
    const bool is_last = body_.chunk + 1 >= work_.content_chunks();
    std::string_view end;
    if (is_last && !smtp_->is_chunked()) end = body_.at_line_start ? ".\r\n" : "\r\n.\r\n";
    if (!end.empty()) pieces[n++] = {end, nullptr};
    if (trace_) trace_body(std::span(pieces).first(n), end);
    stream_->write(std::span(pieces).first(n));
    out_.clear();
    body_.is_on_the_wire = stream_->unsent_octets() > 0;
    ++body_.chunk;
    if (!is_last) {
        read_next_chunk();
    } else if (!body_.is_on_the_wire && !smtp_->is_chunked()) {
        smtp_->body_written();
    }
    set_phase_deadline();
}

// What of the pieces is neither commands before the content nor its end is content.
void DeliverySession::trace_body(std::span<const WritePiece> pieces, std::string_view end) {
    trace_->sent(out_);
    if (!out_.empty()) pieces = pieces.subspan(1);
    if (!end.empty()) pieces = pieces.first(pieces.size() - 1);
    for (const WritePiece& piece : pieces) trace_->sent_content(piece.octets);
    if (!end.empty()) trace_->sent(".\r\n");
}

void DeliverySession::read_next_chunk() {
    engine_.dependencies.spool.read_chunk(
        work_.key.message, body_.chunk,
        {shard_.executor, [self = shared_from_this(), transaction = transactions_](Result<SharedOctets> chunk) {
             // The transaction may have ended in the meantime, and another one begun.
             if (self->phase_ != Phase::Working || self->transactions_ != transaction || !self->work_) return;
             if (self->smtp_->state() == smtp::ClientSession::State::Body) self->on_chunk(std::move(chunk));
         }});
}

void DeliverySession::on_chunk(Result<SharedOctets> chunk) {
    if (!chunk) {
        // Half a message must never look whole: the connection goes, without the final dot.
        if (chunk.error().kind == ErrorKind::Corruption || chunk.error().kind == ErrorKind::NotFound) {
            body_.damage = chunk.error();
        }
        smtp_->abort("the content could not be read: " + chunk.error().text);
        finish_transaction();
        return gone();
    }
    body_.waiting = std::move(*chunk);
    if (!body_.is_on_the_wire) send_chunk(std::exchange(body_.waiting, nullptr));
}

void DeliverySession::on_writable() {
    if (phase_ != Phase::Working || !smtp_ || smtp_->state() != smtp::ClientSession::State::Body) return;
    body_.is_on_the_wire = false;
    if (body_.chunk >= work_.content_chunks()) {
        smtp_->body_written();
    } else if (body_.waiting) {
        return send_chunk(std::exchange(body_.waiting, nullptr));
    }
    set_phase_deadline();
}

// --- the result ----------------------------------------------------------------------------------------

void DeliverySession::finish_transaction() {
    const smtp::TransactionResult result = smtp_->take_result();
    const bool wrote_recipients = result.ending != smtp::Ending::Refused;
    if (holds_turn_) {
        holds_turn_ = false;
        if (wrote_recipients) {
            queue_->pass_turn(*this, shard_.executor->precise_now(), shard_);
        } else {
            queue_->release_turn(*this, shard_);
        }
    }
    if (body_.damage) {
        ++transactions_;
        drop_companions();
        return engine_.give_up_unreadable(std::exchange(work_, {}), *body_.damage, shard_);
    }
    if (!result.outcome_known) engine_.metrics.outcome_unknown.add();
    judge_recipients(result);
    learn_from(result);
    ++transactions_;
    const bool nothing_tried = std::all_of(results_.begin(), results_.end(), [](const RecipientResult& r) {
        return r.disposition == Disposition::NotTried;
    });
    if (nothing_tried) return drop_work();
    record(result);
}

void DeliverySession::judge_recipients(const smtp::TransactionResult& result) {
    AttemptEnd end;
    end.phase = result.phase;
    end.ending = result.ending;
    end.reply = result.reply;
    end.fresh_connection = transactions_ == 0;
    end.touched = result.touched;
    end.is_pipelined = smtp_->is_pipelining() && result.outcome_known;
    Disposition rest = Disposition::NotTried;
    if (result.refused.size() < recipients_) rest = judge(end).disposition;
    results_.assign(recipients_, RecipientResult{rest, result.phase, &result.reply, {}, {}, !result.outcome_known});
    for (const auto& refusal : result.refused) {
        AttemptEnd refused;
        refused.phase = SmtpPhase::Rcpt;
        refused.reply = refusal.reply;
        refused.others_accepted = rest == Disposition::Delivered;
        results_[refusal.position] = {judge(refused).disposition, SmtpPhase::Rcpt, &refusal.reply, {}, {}};
    }
    if (engine_.has_reply_rules()) apply_reply_rules();
}

// How this host ends connections, for those that come after this one.
void DeliverySession::learn_from(const smtp::TransactionResult& result) {
    if (result.ending != smtp::Ending::Lost && result.ending != smtp::Ending::Garbage && result.reply.code != 421)
        return;
    const SteadyTime now = shard_.executor->now();
    // A chunk is part of the envelope's write.
    const bool in_envelope = (result.phase >= SmtpPhase::Mail && result.phase <= SmtpPhase::Data) ||
                             (result.phase == SmtpPhase::EndOfData && smtp_->is_chunked());
    const bool out_of_step = result.ending == smtp::Ending::Garbage || has_timed_out_;
    if (in_envelope && out_of_step && smtp_->is_pipelining()) {
        engine_.peers.on_out_of_step(connector_.peer(), now);
        engine_.report_peer("pipelining-off", connector_.mx_host(), connector_.mx_address(), result.reply.text);
    } else if (!result.touched && transactions_ > 0 && !out_of_step &&
               engine_.peers.on_cut_after(connector_.peer(), transactions_, now)) {
        engine_.report_peer("connection-limit-learned", connector_.mx_host(), connector_.mx_address(),
                            std::to_string(transactions_) + " transactions");
    }
}

void DeliverySession::record(const smtp::TransactionResult& result) {
    engine_.metrics.attempt_seconds.observe(std::chrono::duration<double>(shard_.executor->now() - began_at_).count());
    if (companions_.empty()) return record_task(std::exchange(work_, {}), results_, result);
    std::vector<std::vector<RecipientResult>> parts;
    for_each_task([&](const Work&, std::span<RecipientResult> part) { parts.emplace_back(part.begin(), part.end()); });
    std::vector<Work> tasks = std::exchange(companions_, {});
    tasks.insert(tasks.begin(), std::exchange(work_, {}));
    for (std::size_t i = 0; i < tasks.size(); ++i) record_task(std::move(tasks[i]), parts[i], result);
}

void DeliverySession::record_task(Work&& work, std::vector<RecipientResult>& results,
                                  const smtp::TransactionResult& result) {
    HotTask& hot = *work.hot;
    const bool goes_again = results.size() < hot.task.recipients.size() ||
                            std::any_of(results.begin(), results.end(), [](const RecipientResult& r) {
                                return r.disposition == Disposition::Deferred || r.disposition == Disposition::NotTried;
                            });
    SettingsPointer mail = settings_;
    std::vector<OrderPointer> overruling;  // results may point into it
    if (goes_again) {
        if (engine_.mail_keys_differ()) mail = engine_.mail_settings(*queue_, hot.task.domain, hot.task.tenant);
        if (!engine_.orders.is_empty()) overruling = engine_.overrule(work, results);
    }
    const bool is_refused = std::any_of(results.begin(), results.end(),
                                        [](const RecipientResult& r) { return r.disposition == Disposition::Bounced; });
    const auto classifier = is_refused ? engine_.classifier() : nullptr;
    const SteadyTime now = shard_.executor->now();
    const AttemptContext context{
        .queue = queue_->name,
        .mx_host = connector_.mx_host(),
        .mx_address = connector_.mx_address(),
        .source_address = connector_.source_address(),
        .tls = tls_text_,
        .offered = smtp_->capabilities().offered,
        .elapsed = now - began_at_,
        .now = shard_.executor->wall_now(),
        .expires = engine_.expiry_of(work, *mail),
        .retry_after = mail->retry_after,
        .classifier = classifier.get(),
    };
    if (result.reply.is_positive() && result.phase == SmtpPhase::EndOfData) {
        engine_.metrics.delivery_seconds.observe(
            std::chrono::duration<double>(context.now - hot.message->accepted_at).count());
    }
    const auto message = hot.own_message();
    Outcome outcome = settle(std::move(hot.task), message, results, context);
    engine_.choose_again(outcome.remaining, *queue_, shard_);
    engine_.record(std::move(work), std::move(outcome), *message, shard_);
}

}  // namespace postfleet::sender
