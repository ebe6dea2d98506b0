// What orders do to single tasks: on arrival, before a transaction, and out of turn.

#include <algorithm>
#include <utility>

#include "engine.hpp"

namespace postfleet::sender {

namespace {

enum class Fate : std::uint8_t {
    None,         // no order
    QueuePaused,  // it stays in its queue, which is paused
    Hold,         // all of it is held
    Part,         // some of it ends, moves, or is held while the rest goes
};

Fate fate_of(const std::vector<OrderPointer>& decided) {
    if (decided.empty()) return Fate::None;
    const auto any = [&](auto test) { return std::any_of(decided.begin(), decided.end(), test); };
    if (any([](const OrderPointer& order) { return order && !order->is_pause(); })) return Fate::Part;
    if (any([](const OrderPointer& order) { return order && order->is_queue_pause(); })) return Fate::QueuePaused;
    return any([](const OrderPointer& order) { return !order; }) ? Fate::Part : Fate::Hold;
}

MailFacts facts_of(const Queue& queue, std::uint32_t domain, const Task& task) {
    MailFacts mail;
    mail.site = queue.site;
    mail.virtual_mta = queue.virtual_mta->name;
    mail.tenant = task.tenant;
    mail.job = task.job;
    mail.message = task.key.message;
    mail.domain = domain;
    return mail;
}

// What a terminal order makes of a recipient; it points into the order.
RecipientResult end_by(const ActiveOrder& order) {
    RecipientResult result;
    switch (order.order.action) {
        case OrderAction::Suppress: result.disposition = Disposition::Suppressed; break;
        case OrderAction::Bounce: result.disposition = Disposition::Bounced; break;
        case OrderAction::Delete:
        case OrderAction::Pause:
        case OrderAction::Move: result.disposition = Disposition::Cancelled; break;
    }
    result.reply = &order.reply;
    result.reason = order.reason;
    return result;
}

}  // namespace

// --- on arrival ----------------------------------------------------------------------------------------

void Engine::arrive(const std::shared_ptr<Queue>& queue, schedule::NewTask&& task,
                    const std::shared_ptr<Destination>& to, const HotTask* known, Shard& shard) {
    if (orders.is_empty()) return queue->arrive(std::move(task), to, shard);
    OrderPointer order;
    bool is_obeyed = false;
    if (known != nullptr) {
        const MailFacts mail = facts_of(*queue, task.domain, known->task);
        const std::vector<OrderPointer> decided = orders.find_all(mail, known->task, *known->message);
        const Fate fate = fate_of(decided);
        if (fate == Fate::Hold) order = decided.front();
        is_obeyed = fate == Fate::Part;
    } else {
        MailFacts mail;
        mail.site = queue->site;
        mail.virtual_mta = queue->virtual_mta->name;
        mail.tenant = task.tenant;
        mail.job = task.job;
        mail.message = task.key.message;
        mail.domain = task.domain;
        order = orders.find(mail);
        is_obeyed = order && !order->is_pause();
    }
    if (is_obeyed) return obey(queue->arrive_claimed(std::move(task), to, shard), shard);
    if (order) task.held_by = order->number();
    queue->arrive(std::move(task), to, shard);
}

// --- before a transaction ------------------------------------------------------------------------------

bool Engine::is_ordered(const Work& work) const {
    const HotTask& hot = *work.hot;
    return !orders.find_all(facts_of(*work.queue, work.domain, hot.task), hot.task, *hot.message).empty();
}

void Engine::obey(Work&& work, Shard& shard) {
    std::vector<Work> one;
    one.push_back(std::move(work));
    obey(std::move(one), shard);
}

void Engine::obey(std::vector<Work>&& works, Shard& shard) {
    for (const Work& work : works) work.queue->mark_claimed(work.id);
    with_facts(std::move(works), &Engine::obey_known, shard);
}

void Engine::obey_known(Work&& work, Shard& shard) {
    const HotTask& hot = *work.hot;
    const auto decided = orders.find_all(facts_of(*work.queue, work.domain, hot.task), hot.task, *hot.message);
    const auto queue = work.queue;
    switch (fate_of(decided)) {
        case Fate::None:
        case Fate::QueuePaused: return queue->give_back(std::move(work), shard);
        case Fate::Hold: return queue->hold(std::move(work), decided.front()->number());
        case Fate::Part: break;
    }
    const bool returns = std::any_of(decided.begin(), decided.end(), [&](const OrderPointer& order) {
        return order && order->order.action == OrderAction::Bounce &&
               Notifier::may_return(*hot.message, Disposition::Bounced);
    });
    if (!returns || hot.first_chunk) return part(std::move(work), decided, shard);
    // Its sender is told, and gets back what it was; what cannot be read is told all the same.
    count_unrecorded(+1);
    load(std::move(work), shard, [this, &shard, decided](Work&& loaded, Status) {
        part(std::move(loaded), decided, shard);
        count_unrecorded(-1);
    });
}

// Who ends gets its event; the rest becomes one task for each thing that is to become of it.
void Engine::part(Work&& work, const std::vector<OrderPointer>& decided, Shard& shard) {
    HotTask& hot = *work.hot;
    std::vector<RecipientResult> results(hot.task.recipients.size());
    std::vector<OrderPointer> rest;
    for (std::size_t i = 0; i < decided.size(); ++i) {
        if (decided[i] && !decided[i]->is_pause()) decided[i]->recipients.fetch_add(1, std::memory_order_relaxed);
        if (decided[i] && decided[i]->is_terminal()) {
            results[i] = end_by(*decided[i]);
        } else {
            rest.push_back(decided[i] && decided[i]->is_queue_pause() ? nullptr : decided[i]);
        }
    }
    const auto refusals = classifier();
    AttemptContext context;
    context.queue = work.queue->name;
    context.now = shard.executor->wall_now();
    context.expires = expiry_of(work, *work.settings);
    context.classifier = refusals.get();
    const WallTime due = hot.task.due;
    const std::shared_ptr<const Message> message = hot.own_message();
    Outcome outcome = settle(std::move(hot.task), message, results, context);
    if (!outcome.remaining.empty()) {
        Task left = std::move(outcome.remaining.front());  // nothing was tried, so they are together
        outcome.remaining.clear();
        left.due = due;
        std::vector<Recipient> recipients = std::exchange(left.recipients, {});
        std::vector<const ActiveOrder*> part_of;
        for (std::size_t i = 0; i < recipients.size(); ++i) {
            const ActiveOrder* const order = rest[i].get();
            auto at = static_cast<std::size_t>(std::find(part_of.begin(), part_of.end(), order) - part_of.begin());
            if (at == part_of.size()) {
                part_of.push_back(order);
                Task& fresh = outcome.remaining.emplace_back(left);
                fresh.key.number = recipients[i].index;
                if (order != nullptr && !order->is_pause()) {
                    const std::string& target = order->order.text;
                    const Identity to{std::string(routing()->choose_from_pool(target, {}, shard.random())), target};
                    if (!to.virtual_mta.empty()) to.bind(fresh);  // empty: gone with a reload just now
                }
            }
            outcome.remaining[at].recipients.push_back(std::move(recipients[i]));
        }
    }
    record(std::move(work), std::move(outcome), *message, shard);
}

// --- after an attempt ----------------------------------------------------------------------------------

std::vector<OrderPointer> Engine::overrule(const Work& work, std::vector<RecipientResult>& results) const {
    const HotTask& hot = *work.hot;
    auto decided = orders.find_all(facts_of(*work.queue, work.domain, hot.task), hot.task, *hot.message);
    if (decided.empty()) return decided;
    results.resize(hot.task.recipients.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
        RecipientResult& result = results[i];
        const bool goes_again =
            result.disposition == Disposition::Deferred || result.disposition == Disposition::NotTried;
        if (!goes_again || !decided[i] || !decided[i]->is_terminal()) continue;
        decided[i]->recipients.fetch_add(1, std::memory_order_relaxed);
        result = end_by(*decided[i]);
    }
    return decided;
}

}  // namespace postfleet::sender
