#include "outcome.hpp"

#include <algorithm>
#include <utility>

#include "notices.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/mail/delivery_windows.hpp"

namespace postfleet::sender {

namespace {

// Which event tells of this; NotTried has none.
EventType event_type(Disposition disposition) {
    switch (disposition) {
        case Disposition::Delivered: return EventType::Delivered;
        case Disposition::Deferred: return EventType::Deferred;
        case Disposition::Bounced: return EventType::Bounced;
        case Disposition::Expired: return EventType::Expired;
        case Disposition::Cancelled: return EventType::Cancelled;
        case Disposition::RenderingFailed: return EventType::RenderingFailed;
        case Disposition::Suppressed: return EventType::Suppressed;
        case Disposition::NotTried: break;
    }
    require(false);
    return EventType::Deferred;
}

void count(OutcomeCounts& counts, Disposition disposition) {
    switch (disposition) {
        case Disposition::Delivered: ++counts.delivered; break;
        case Disposition::Deferred: ++counts.deferred; break;
        case Disposition::Bounced: ++counts.bounced; break;
        case Disposition::Expired: ++counts.expired; break;
        case Disposition::Cancelled: ++counts.cancelled; break;
        case Disposition::RenderingFailed: ++counts.rendering_failed; break;
        case Disposition::Suppressed: ++counts.suppressed; break;
        case Disposition::NotTried: break;
    }
}

bool is_attempt(Disposition disposition) {
    return disposition == Disposition::Delivered || disposition == Disposition::Deferred ||
           disposition == Disposition::Bounced;
}

// Recipients that go again together.
struct Group {
    WallTime due;
    std::vector<Recipient> recipients;
};

void add_to_group(std::vector<Group>& groups, WallTime due, Recipient&& recipient) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.due == due; });
    if (group == groups.end()) group = groups.insert(groups.end(), Group{due, {}});
    group->recipients.push_back(std::move(recipient));
}

class Settling {
public:
    Settling(const Task& task, const std::shared_ptr<const Message>& message, const AttemptContext& context)
        : task_(task), message_(message), context_(context) {}

    // The event for one recipient, which is left as it will be stored.
    Event tell(Recipient& recipient, const RecipientResult& result) const {
        if (is_attempt(result.disposition)) ++recipient.attempts;
        const EventType type = event_type(result.disposition);
        Event event;
        event.id = make_event_id(task_.key.message, recipient.index, recipient.attempts, type);
        event.type = type;
        event.time = context_.now;
        event.message = message_;
        event.recipient_index = recipient.index;
        event.recipient = recipient.address;
        event.original_recipient = recipient.original;
        event.virtual_mta = task_.virtual_mta;
        event.pool = task_.pool;
        event.queue.assign(context_.queue);
        event.attempt = recipient.attempts;
        event.reason.assign(result.reason);
        if (is_attempt(result.disposition)) {
            event.delivery = facts(result);
        } else if (recipient.last_reply) {
            // Why it never went: the last thing that anybody answered.
            event.delivery.emplace();
            event.delivery->mx_host = recipient.last_mx;
            event.delivery->reply = *recipient.last_reply;
        }
        if (result.disposition == Disposition::Bounced) {
            const auto* classifier = context_.classifier ? context_.classifier : bounce::Classifier::shipped().get();
            event.bounce = classifier->classify(*result.reply, result.phase);
        }
        if (result.disposition == Disposition::Expired) {
            event.bounce = BounceFacts{"soft", to_string(BounceCategory::MessageExpired), false};
        }
        return event;
    }

private:
    DeliveryFacts facts(const RecipientResult& result) const {
        DeliveryFacts facts;
        facts.mx_host.assign(context_.mx_host);
        facts.mx_address.assign(context_.mx_address);
        facts.source_address.assign(context_.source_address);
        facts.tls.assign(context_.tls);
        facts.offered = context_.offered;
        facts.phase = result.phase;
        facts.reply = *result.reply;
        facts.elapsed = context_.elapsed;
        facts.in_doubt = result.in_doubt;
        return facts;
    }

    const Task& task_;
    const std::shared_ptr<const Message>& message_;
    const AttemptContext& context_;
};

// Every task but the last one needs copies of what they share.
std::vector<Task> to_tasks(Task&& task, std::vector<Group>&& groups) {
    std::vector<Task> tasks;
    tasks.reserve(groups.size());
    task.recipients.clear();
    for (std::size_t i = 0; i < groups.size(); ++i) {
        Task& part = i + 1 < groups.size() ? tasks.emplace_back(task) : tasks.emplace_back(std::move(task));
        part.due = groups[i].due;
        part.key.number = groups[i].recipients.front().index;
        part.recipients = std::move(groups[i].recipients);
    }
    return tasks;
}

}  // namespace

Outcome settle(Task&& task, const std::shared_ptr<const Message>& message, std::span<const RecipientResult> results,
               const AttemptContext& context) {
    Outcome outcome;
    task.reroutes = 0;
    outcome.events.reserve(results.size());
    std::vector<Group> groups;
    const Settling settling(task, message, context);
    for (std::size_t i = 0; i < task.recipients.size(); ++i) {
        Recipient& recipient = task.recipients[i];
        if (i >= results.size() || results[i].disposition == Disposition::NotTried) {
            add_to_group(groups, context.now, std::move(recipient));
            continue;
        }
        const RecipientResult& result = results[i];
        Event event = settling.tell(recipient, result);
        count(outcome.counts, result.disposition);
        if (const auto action = notice_for(recipient, *message, result.disposition, context.offered)) {
            outcome.notices.push_back(notice_of(*action, event));
        }
        if (result.disposition == Disposition::Deferred) {
            const std::span<const Duration> waits =
                result.wait ? std::span<const Duration>(&*result.wait, 1) : context.retry_after;
            WallTime due = next_due(recipient.attempts, waits, context.now, context.expires);
            if (!message->windows.empty()) {
                due = std::min(next_in_windows(message->windows, due).value_or(context.expires), context.expires);
            }
            event.next_attempt_at = due;
            recipient.last_reply = *result.reply;
            recipient.last_mx.assign(context.mx_host);
            add_to_group(groups, due, std::move(recipient));
        }
        outcome.events.push_back(std::move(event));
    }
    outcome.remaining = to_tasks(std::move(task), std::move(groups));
    return outcome;
}

}  // namespace postfleet::sender
