// How mail gets into the spool and into queues, and from one queue into another.

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine.hpp"
#include "notices.hpp"

namespace postfleet::sender {

namespace {

// What a message in memory costs beside its content: facts, task, their strings.
constexpr std::uint64_t kOverheadOctets = 1500;
// And each task of a message that is merged, beside its variables.
constexpr std::uint64_t kMergedTaskOctets = 600;

std::uint64_t memory_of(const AcceptedMessage& accepted) {
    std::uint64_t octets = kOverheadOctets + (accepted.last_chunk ? accepted.last_chunk->size() : 0);
    if (!merge::is_personal(*accepted.message)) return octets;
    for (const Task& task : accepted.tasks) {
        octets += kMergedTaskOctets + task.recipients.front().variables.octets().size();
    }
    return octets;
}

void add_accepted_events(const AcceptedMessage& accepted, SpoolBatch& batch) {
    for (const Task& task : accepted.tasks) {
        for (const Recipient& recipient : task.recipients) {
            Event& event = batch.events.emplace_back();
            event.id = make_event_id(accepted.message->id, recipient.index, 0, EventType::Accepted);
            event.type = EventType::Accepted;
            event.time = accepted.message->accepted_at;
            event.message = merge::personal(accepted.message, recipient);
            event.recipient_index = recipient.index;
            event.recipient = recipient.address;
            event.original_recipient = recipient.original;
            event.virtual_mta = task.virtual_mta;
            event.pool = task.pool;
        }
    }
}

}  // namespace

// What both kinds of tasks call the same.
template <class AnyTask>
static ScheduleRequest common_request_for(const AnyTask& task) {
    ScheduleRequest request;
    request.domain = task.domain;
    request.virtual_mta = task.virtual_mta;
    request.waives_tls_policy = task.waives_tls_policy;
    request.task.key = task.key;
    request.task.due = task.due;
    request.task.accepted_at = task.accepted_at;
    request.task.priority = task.priority;
    request.task.tenant = task.tenant;
    request.task.job = task.job;
    return request;
}

ScheduleRequest request_for(const ReturningTask& task) {
    ScheduleRequest request = common_request_for(task);
    request.task.deadline = task.deadline;
    request.task.recipients = task.recipients;
    request.task.attempts = task.attempts;
    return request;
}

ScheduleRequest request_for(const Task& task) {
    ScheduleRequest request = common_request_for(task);
    request.task.deadline = deadline_of(task);
    request.task.recipients = static_cast<std::uint32_t>(task.recipients.size());
    for (const Recipient& recipient : task.recipients) {
        request.task.attempts = std::max(request.task.attempts, recipient.attempts);
    }
    return request;
}

NewMail Engine::add_to(SpoolBatch& batch, AcceptedMessage&& accepted) {
    // Numbers that cannot collide when tasks split later (outcome.hpp).
    for (Task& task : accepted.tasks) {
        task.key.number = task.recipients.front().index;
        task.waives_tls_policy = accepted.message->tls_wish == TlsWish::Waived;
        if (may_have_notice(*accepted.message, task)) {
            task.notice_at = notice_time(*accepted.message, task, configuration()->dsn.delay_after);
        }
    }
    if (reports(EventType::Accepted)) add_accepted_events(accepted, batch);
    NewMail mail;
    mail.message = accepted.message;
    const std::uint64_t octets = memory_of(accepted);
    // Scheduled mail waits on the disk.
    const auto goes_now = [&](const Task& task) { return task.due <= accepted.message->accepted_at; };
    if (std::any_of(accepted.tasks.begin(), accepted.tasks.end(), goes_now) && hot_budget->try_charge(octets)) {
        const bool is_whole = accepted.message->content_chunks == 1;
        mail.hot = std::make_shared<HotMessage>(hot_budget, octets, accepted.message,
                                                is_whole ? accepted.last_chunk : nullptr);
    }
    mail.tasks = accepted.tasks;
    batch.put_messages.push_back({std::move(accepted.message), std::move(accepted.last_chunk)});
    std::move(accepted.tasks.begin(), accepted.tasks.end(), std::back_inserter(batch.put_tasks));
    return mail;
}

OutcomeCounts Engine::add_ended_to(SpoolBatch& batch, const std::shared_ptr<const Message>& message,
                                   std::vector<EndedTask>&& ended, WallTime now) {
    AcceptedMessage of_these{.message = message, .tasks = {}, .last_chunk = nullptr, .taken_as = std::nullopt};
    OutcomeCounts counts;
    for (EndedTask& one : ended) {
        if (reports(EventType::Accepted)) {
            of_these.tasks = {one.task};
            add_accepted_events(of_these, batch);
        }
        RecipientResult result;
        result.disposition = Disposition::Suppressed;
        result.reason = one.reason;
        const std::vector<RecipientResult> results(one.task.recipients.size(), result);
        AttemptContext context;
        context.now = now;
        Outcome outcome = settle(std::move(one.task), message, results, context);
        counts.suppressed += outcome.counts.suppressed;
        std::move(outcome.events.begin(), outcome.events.end(), std::back_inserter(batch.events));
    }
    return counts;
}

void Engine::schedule_new(NewMail&& mail, Shard& shard) {
    metrics.accepted_messages.add();
    accepted_rate.add(shard.executor->now(), 1);
    count_held(1, mail.message->size_octets);
    const bool shares = mail.tasks.size() > 1;
    if (shares) references.set(mail.message->id, static_cast<std::uint32_t>(mail.tasks.size()));
    for (Task& task : mail.tasks) {
        // The names live in the task, which goes into the attachment: it keeps its address.
        auto hot = std::make_unique<HotTask>();
        hot->task = std::move(task);
        hot->message = mail.message;
        const Task& kept = hot->task;
        ScheduleRequest request = request_for(kept);
        request.task.shares_message = shares;
        request.known = hot.get();
        const bool stays = mail.hot && kept.due <= mail.message->accepted_at;
        const std::unique_ptr<HotTask> names = stays ? nullptr : std::move(hot);
        if (stays) {
            hot->first_chunk = mail.hot->first_chunk;
            hot->charged = mail.hot;
            request.task.attachment = std::move(hot);
        }
        schedule(std::move(request), shard);
    }
}

void Engine::schedule(ScheduleRequest&& request, Shard& shard) {
    const auto policies = request.waives_tls_policy ? TlsPolicies::Waived : TlsPolicies::Heeded;
    const SiteTable::Place place = sites.enter(request.domain, policies, *shard.executor);
    const std::string& site = place.destination ? place.destination->site : place.site;
    request.task.domain = place.domain;
    arrive(queues.find_or_make(site, request.virtual_mta), std::move(request.task), place.destination, request.known,
           shard);
    if (!place.destination) recheck(place.domain, site, shard);
}

std::uint64_t Engine::queued_for(std::string_view domain, std::string_view virtual_mta) const {
    const std::string site = sites.site_of(domain);
    if (site.empty()) return 0;
    const auto queue = queues.find(site, virtual_mta);
    return queue ? queue->recipients() : 0;
}

void Engine::recheck(std::uint32_t domain, const std::string& site, Shard& shard) {
    const SiteTable::Place place = sites.look_again(domain, *shard.executor);
    if (place.destination) on_moved(domain, site, place.destination, shard);
}

void Engine::on_moved(std::uint32_t domain, const std::string& old_site, const std::shared_ptr<Destination>& to,
                      Shard& shard) {
    for (const auto& queue : queues.of_site(old_site)) queue->move_domain(domain, to, shard);
    if (to->kind != Destination::Kind::Failed) return;
    for (const auto& queue : queues.of_site(to->site)) queue->on_resolve_failed(to, shard);
}

void Engine::move_to(Queue::Leaving&& task, const Queue& from, Shard& shard) {
    task.task.tenant = task.tenant;
    task.task.job = task.job;
    arrive(queues.find_or_make(task.to->site, from.virtual_mta->name), std::move(task.task), task.to, nullptr, shard);
}

}  // namespace postfleet::sender
