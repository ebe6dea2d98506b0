// How tasks end: without a transaction, unreadable, recorded.

#include <algorithm>
#include <utility>

#include "engine.hpp"
#include "notices.hpp"

namespace postfleet::sender {

namespace {

constexpr Duration kUnreadableRest = std::chrono::minutes(1);

ReturningTask returning(const Task& task) {
    ReturningTask out;
    out.key = task.key;
    out.due = task.due;
    out.accepted_at = task.accepted_at;
    out.deadline = deadline_of(task);
    out.recipients = static_cast<std::uint32_t>(task.recipients.size());
    for (const Recipient& recipient : task.recipients) out.attempts = std::max(out.attempts, recipient.attempts);
    out.priority = task.priority;
    out.waives_tls_policy = task.waives_tls_policy;
    out.domain = task.domain;
    out.virtual_mta = task.virtual_mta;
    out.tenant = task.tenant;
    out.job = task.job;
    return out;
}

}  // namespace

// --- without a transaction -----------------------------------------------------------------------------

void Engine::finish_untried(Work&& work, Untried&& untried, Shard& shard) {
    count_unrecorded(+1);  // what is being read counts, too, so that a dead domain's mail is not read all at once
    if (work.hot && (work.hot->first_chunk || !Notifier::may_return(*work.hot->message, untried.disposition))) {
        finish_loaded(std::move(work), untried, shard);
        count_unrecorded(-1);
        return;
    }
    load(std::move(work), shard, [this, &shard, untried = std::move(untried)](Work&& loaded, Status status) {
        if (status) {
            finish_loaded(std::move(loaded), untried, shard);
        } else {
            give_up_unreadable(std::move(loaded), status.error(), shard);
        }
        count_unrecorded(-1);
    });
}

void Engine::refuse(Work&& work, Reply&& reply, Shard& shard) {
    const AttemptEnd end{.phase = SmtpPhase::Mail, .ending = smtp::Ending::Refused, .reply = reply};
    Untried untried{.disposition = judge(end).disposition};
    untried.failure = {.phase = SmtpPhase::Mail, .ending = smtp::Ending::Refused, .reply = std::move(reply)};
    finish_untried(std::move(work), std::move(untried), shard);
}

void Engine::fail_rendering(Work&& work, std::string&& reason, Shard& shard) {
    Untried untried{.disposition = Disposition::RenderingFailed};
    untried.reason = std::move(reason);
    finish_untried(std::move(work), std::move(untried), shard);
}

void Engine::finish_loaded(Work&& work, const Untried& untried, Shard& shard) {
    HotTask& hot = *work.hot;
    const OpenFailure& failure = untried.failure;
    SettingsPointer mail = work.settings;
    if (mail_keys_differ()) mail = mail_settings(*work.queue, hot.task.domain, hot.task.tenant);
    const WallTime expires = expiry_of(work, *mail);
    if (untried.disposition == Disposition::Expired && shard.executor->wall_now() < expires) {
        return tell_late(std::move(work), expires, shard);
    }
    RecipientResult result{untried.disposition, failure.phase, &failure.reply, untried.reason, {}};
    std::string reason;
    if (untried.disposition == Disposition::Expired) {
        reason = "not delivered before " + format_rfc3339(expires);
        result.reason = reason;
    }
    std::vector<RecipientResult> results(hot.task.recipients.size(), result);
    const auto overruling = orders.is_empty() ? std::vector<OrderPointer>() : overrule(work, results);
    const auto refusals = classifier();
    const AttemptContext context{
        .queue = work.queue->name,
        .mx_host = failure.mx_host,
        .mx_address = failure.mx_address,
        .source_address = failure.source_address,
        .tls = {},
        .offered = {},
        .elapsed = {},
        .now = shard.executor->wall_now(),
        .expires = expires,
        .retry_after = mail->retry_after,
        .classifier = refusals.get(),
    };
    const std::shared_ptr<const Message> message = hot.own_message();
    Outcome outcome = settle(std::move(hot.task), message, results, context);
    choose_again(outcome.remaining, *work.queue, shard);
    record(std::move(work), std::move(outcome), *message, shard);
}

// The sender is told, and the task waits on as if nothing had been.
void Engine::tell_late(Work&& work, WallTime expires, Shard& shard) {
    const std::shared_ptr<const Message> message = work.hot->message;
    Task& task = work.hot->task;
    Outcome outcome;
    outcome.notices = take_late_notices(task, *message, configuration()->dsn.delay_after, shard.executor->wall_now());
    for (dsn::RecipientStatus& notice : outcome.notices) notice.will_retry_until = expires;
    task.due = work.due;
    outcome.remaining.push_back(std::move(task));
    record(std::move(work), std::move(outcome), *message, shard);
}

WallTime Engine::expiry_of(const Work& work, const shaping::Settings& mail) const {
    const Task& task = work.hot->task;
    if (!task.notice_at) return work.expires;
    return sender::expiry_of(task.accepted_at, task.expires_at.value_or(schedule::kNever), mail.expire_after);
}

// --- reading from the spool ----------------------------------------------------------------------------

void Engine::load(Work&& work, Shard& shard, UniqueFunction<void(Work&&, Status)> then) {
    metrics.content_reads.add();
    struct Loading {
        Work work;
        UniqueFunction<void(Work&&, Status)> then;
    };
    auto loading = std::make_unique<Loading>(Loading{std::move(work), std::move(then)});
    const TaskKey key = loading->work.key;
    if (loading->work.hot) {  // a message of several chunks, fresh from take-in
        dependencies.spool.read_chunk(key.message, 0,
                                      {shard.executor, [loading = std::move(loading)](Result<SharedOctets> chunk) {
                                           if (!chunk) return loading->then(std::move(loading->work), chunk.error());
                                           loading->work.hot->first_chunk = std::move(*chunk);
                                           loading->then(std::move(loading->work), {});
                                       }});
        return;
    }
    dependencies.spool.load(key, {shard.executor, [loading = std::move(loading)](Result<Spool::Loaded> loaded) {
                                      if (!loaded) return loading->then(std::move(loading->work), loaded.error());
                                      auto hot = std::make_unique<HotTask>();
                                      hot->task = std::move(loaded->task);
                                      hot->message = std::move(loaded->message);
                                      hot->first_chunk = std::move(loaded->first_chunk);
                                      loading->work.hot = std::move(hot);
                                      loading->then(std::move(loading->work), {});
                                  }});
}

void Engine::give_up_unreadable(Work&& work, const Error& error, Shard& shard) {
    if (error.kind != ErrorKind::Corruption && error.kind != ErrorKind::NotFound) {
        dependencies.log.line(LogLevel::Warning, "spool-read-failed")
            .field("message", work.key.message.to_string())
            .field("reason", error.text);
        return put_aside(std::move(work), kUnreadableRest, shard);
    }
    count_unrecorded(+1);
    // The task itself may still be readable; then its recipients can be named.
    const TaskKey key = work.key;
    auto kept = std::make_unique<Work>(std::move(work));
    dependencies.spool.load_tasks(
        {key}, {shard.executor, [this, &shard, error, kept = std::move(kept)](Result<std::vector<Task>> tasks) {
                    std::optional<Task> task;
                    if (tasks && !tasks->empty()) task = std::move(tasks->front());
                    give_up_damaged(std::move(*kept), std::move(task), error, shard);
                    count_unrecorded(-1);
                }});
}

void Engine::give_up_damaged(Work&& work, std::optional<Task> task, const Error& error, Shard& shard) {
    metrics.damaged.add();
    dependencies.log.line(LogLevel::Error, "spool-record-damaged")
        .field("message", work.key.message.to_string())
        .field("task", work.key.number)
        .field("queue", work.queue->name)
        .field("reason", error.text);
    if (!task && work.hot) task = std::move(work.hot->task);
    if (!task) {
        task.emplace();
        task->key = work.key;
        task->virtual_mta = work.queue->virtual_mta->name;
        task->recipients.emplace_back().index = work.key.number;
    }
    Message unknown;
    unknown.id = work.key.message;
    std::shared_ptr<const Message> message = work.hot && work.hot->message ? work.hot->message : nullptr;
    message = message ? merge::personal(message, task->recipients.front()) : std::make_shared<const Message>(unknown);
    const Reply reply{0, {5, 3, 0}, "spool record damaged: " + error.text};
    const std::vector<RecipientResult> results(
        task->recipients.size(),
        RecipientResult{Disposition::Bounced, SmtpPhase::None, &reply, "spool record damaged"});
    AttemptContext context;
    context.queue = work.queue->name;
    context.now = shard.executor->wall_now();
    Outcome outcome = settle(std::move(*task), message, results, context);
    record(std::move(work), std::move(outcome), *message, shard);
}

void Engine::put_aside(Work&& work, Duration rest, Shard& shard) {
    const WallTime until = shard.executor->wall_now() + std::chrono::floor<WallTime::duration>(rest);
    const auto queue = work.queue;
    queue->put_aside(std::move(work), until, shard);
}

// --- recording -----------------------------------------------------------------------------------------

void Engine::record(Work&& work, Outcome&& outcome, const Message& message, Shard& shard) {
    log_attempts(outcome);
    metrics.count(outcome.counts);
    RecordedTask recorded;
    recorded.id = work.id;
    recorded.domain = work.domain;
    recorded.shares_message = work.shares_message;
    recorded.message = work.key.message;
    recorded.content_chunks = message.content_chunks;
    recorded.size_octets = message.size_octets;
    recorded.counts = outcome.counts;
    for (const Event& event : outcome.events) {
        if (event.delivery && event.type != EventType::Delivered) {
            recorded.last_failure = event.delivery->reply.to_string();
        }
    }
    SpoolBatch& batch = shard.recorder->pending();
    bool key_stays = false;
    for (Task& task : outcome.remaining) {
        key_stays |= task.key == work.key;
        recorded.remaining.push_back(returning(task));
        batch.put_tasks.push_back(std::move(task));
    }
    if (!key_stays) batch.remove_tasks.push_back(work.key);
    if (recorded.remaining.empty() && !work.shares_message) {
        batch.remove_messages.push_back({work.key.message, message.content_chunks});
    }
    std::move(outcome.events.begin(), outcome.events.end(), std::back_inserter(batch.events));
    // In the same batch: a crash leaves both, or neither.
    if (!outcome.notices.empty())
        recorded.notification = notifier.notify(std::move(outcome.notices), message, work, shard);
    recorded.queue = std::move(work.queue);
    shard.recorder->add(std::move(recorded));
}

void Engine::on_recorded(RecordedTask&& recorded, Shard& shard) {
    if (!recorded.queue) return;
    if (recorded.notification) schedule_new(std::move(*recorded.notification), shard);
    const auto remaining = static_cast<std::uint32_t>(recorded.remaining.size());
    recorded.queue->finish(recorded.id, recorded.counts, recorded.last_failure, shard.executor->now());
    if (recorded.counts.delivered > 0 && recorded.queue->is_in_backoff() &&
        recorded.queue->settings()->backoff_leave_on_delivery) {
        recorded.queue->set_mode(QueueMode::Normal, "first delivery", shard);
    }
    if (recorded.shares_message) {
        if (references.replace_one(recorded.message, remaining)) {
            count_held(-1, recorded.size_octets);
            SpoolBatch batch;
            batch.urgency = SpoolBatch::Urgency::Outcome;
            batch.remove_messages.push_back({recorded.message, recorded.content_chunks});
            // Should it fail, the content has no task any more and goes when the spool opens next.
            dependencies.spool.commit(std::move(batch), {shard.executor, [](Status) {}});
        }
    } else if (remaining > 1) {
        references.set(recorded.message, remaining);
    } else if (remaining == 0) {
        count_held(-1, recorded.size_octets);
    }
    for (const ReturningTask& task : recorded.remaining) {
        ScheduleRequest request = request_for(task);
        request.task.shares_message = recorded.shares_message || remaining > 1;
        schedule(std::move(request), shard);
    }
    sites.leave(recorded.domain);
}

// --- telling -------------------------------------------------------------------------------------------

void Engine::log_attempts(const Outcome& outcome) const {
    if (!logs_attempts_.load(std::memory_order_relaxed) || !dependencies.log.is_on(LogLevel::Info)) return;
    for (const Event& event : outcome.events) {
        auto line = dependencies.log.line(LogLevel::Info, "attempt");
        line.field("result", std::string_view(to_string(event.type)).substr(6));  // without "email."
        line.field("message", event.message->id.to_string()).field("recipient", event.recipient);
        line.field("queue", event.queue).field("attempt", event.attempt);
        if (!event.message->job.empty()) line.field("job", event.message->job);
        if (event.delivery) {
            const DeliveryFacts& facts = *event.delivery;
            if (!facts.mx_host.empty()) line.field("mx", facts.mx_host);
            if (!facts.mx_address.empty()) line.field("address", facts.mx_address);
            if (!facts.source_address.empty()) line.field("source", facts.source_address);
            line.field("phase", to_string(facts.phase)).field("reply", facts.reply.to_string());
            line.field("ms", std::chrono::duration_cast<std::chrono::milliseconds>(facts.elapsed).count());
        }
        if (event.next_attempt_at) line.field("next", format_rfc3339(*event.next_attempt_at));
        if (!event.reason.empty()) line.field("reason", event.reason);
    }
}

void Engine::report_peer(std::string_view what, const std::string& mx_host, const std::string& mx_address,
                         std::string_view detail) const {
    dependencies.log.line(LogLevel::Info, what)
        .field("mx", mx_host)
        .field("address", mx_address)
        .field("detail", detail);
}

void Engine::report_source(EventType type, const VirtualMta& identity, std::string_view source, std::string_view reason,
                           Shard& shard) {
    const bool is_enabled = type == EventType::VirtualMtaEnabled;
    metrics.count_suspended(identity.name, identity.suspended());
    dependencies.log
        .line(is_enabled ? LogLevel::Info : LogLevel::Error,
              is_enabled ? "virtual-mta-enabled" : "virtual-mta-disabled")
        .field("virtual_mta", identity.name)
        .field("source", source)
        .field("reason", reason);
    Event event;
    event.type = type;
    event.time = shard.executor->wall_now();
    event.id = hash_event_id(std::string(to_string(type)) + '\n' + identity.name + '\n' + std::string(source) + '\n' +
                             std::to_string(to_unix_microseconds(event.time)));
    event.virtual_mta = identity.name;
    event.delivery.emplace().source_address.assign(source);
    event.reason.assign(reason);
    shard.recorder->pending().events.push_back(std::move(event));
    shard.recorder->add({});
}

namespace {

Event queue_event(EventType type, const Queue& queue, const OpenFailure& failure, WallTime now) {
    Event event;
    event.type = type;
    event.time = now;
    event.id = hash_event_id(std::string(to_string(event.type)) + '\n' + queue.name + '\n' + failure.mx_address + '\n' +
                             std::to_string(to_unix_microseconds(event.time)));
    event.queue = queue.name;
    event.virtual_mta = queue.virtual_mta->name;
    event.delivery = DeliveryFacts{.mx_host = failure.mx_host,
                                   .mx_address = failure.mx_address,
                                   .source_address = failure.source_address,
                                   .phase = failure.phase,
                                   .reply = failure.reply};
    return event;
}

}  // namespace

void Engine::report_connect_failed(const Queue& queue, const OpenFailure& failure, Shard& shard) {
    if (!reports(EventType::QueueConnectFailed)) return;
    shard.recorder->pending().events.push_back(
        queue_event(EventType::QueueConnectFailed, queue, failure, shard.executor->wall_now()));
    shard.recorder->add({});
}

void Engine::report_login_refused(const Queue& queue, const OpenFailure& failure, std::string reason, Shard& shard) {
    dependencies.log.line(LogLevel::Error, "login-refused")
        .field("queue", queue.name)
        .field("host", failure.mx_host)
        .field("address", failure.mx_address)
        .field("reason", reason);
    Event event = queue_event(EventType::QueueLoginRefused, queue, failure, shard.executor->wall_now());
    event.reason = std::move(reason);
    shard.recorder->pending().events.push_back(std::move(event));
    shard.recorder->add({});
}

}  // namespace postfleet::sender
