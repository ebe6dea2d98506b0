#include "control.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "order_desk.hpp"

namespace postfleet::sender {

namespace {

template <class T, class Value>
void answer(Completion<T>&& done, Value&& value) {
    Executor& on = *done.on;
    on.post([done = std::move(done), value = T(std::forward<Value>(value))]() mutable { done.run(std::move(value)); });
}

}  // namespace

// --- looking -------------------------------------------------------------------------------------------

std::vector<QueueStatus> Control::queue_statuses(const Executor& clock) const {
    std::vector<QueueStatus> out;
    for (const auto& queue : engine_.queues.all()) out.push_back(queue->status(clock));
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
}

void Control::status(Completion<SenderStatus> done) {
    engine_.on_shard(0, [this, done = std::move(done)](Shard& shard) mutable {
        SenderStatus out;
        for (const auto& queue : engine_.queues.all()) {
            const QueueStatus status = queue->status(*shard.executor);
            ++out.queues;
            out.ready += status.ready;
            out.waiting += status.waiting;
            out.in_flight += status.in_flight;
            out.queued_recipients += status.ready + status.waiting + status.held + status.in_flight;
            out.connections += status.connections;
            out.delivered_per_second += status.delivered_per_second;
            out.held += status.held;
            if (!status.hold_reason.empty()) out.held += status.ready;
            const auto oldest = queue->oldest();
            if (oldest && (!out.oldest_queued || *oldest < *out.oldest_queued)) out.oldest_queued = oldest;
        }
        const SenderMetrics& metrics = engine_.metrics;
        out.accepted_messages = metrics.accepted_messages.value();
        out.delivered = metrics.delivered.value();
        out.deferred = metrics.deferred.value();
        out.bounced = metrics.bounced.value();
        out.expired = metrics.expired.value();
        out.cancelled = metrics.cancelled.value();
        out.accepted_per_second = engine_.accepted_rate.per_second(shard.executor->now());
        const SpoolState state = engine_.dependencies.spool.state();
        switch (state.condition) {
            case SpoolCondition::Ready: out.spool_condition = "ready"; break;
            case SpoolCondition::SpaceLow: out.spool_condition = "space-low"; break;
            case SpoolCondition::Latched: out.spool_condition = "latched"; break;
        }
        out.spool_reason = state.reason;
        out.spool_free_octets = engine_.dependencies.spool.statistics().free_octets;
        answer(std::move(done), std::move(out));
    });
}

void Control::list_queues(Completion<std::vector<QueueStatus>> done) {
    engine_.on_shard(0, [this, done = std::move(done)](Shard& shard) mutable {
        answer(std::move(done), queue_statuses(*shard.executor));
    });
}

void Control::list_virtual_mtas(Completion<std::vector<VirtualMtaStatus>> done) {
    engine_.on_shard(0, [this, done = std::move(done)](Shard& shard) mutable {
        std::map<std::string, VirtualMtaStatus> by_name;
        for (const auto& identity : engine_.queues.virtual_mtas()) {
            VirtualMtaStatus& status = by_name[identity->name] = identity->status(shard.executor->now());
            status.connections = engine_.limits.of_virtual_mta(identity->name)->connections();
        }
        for (const QueueStatus& queue : queue_statuses(*shard.executor)) {
            VirtualMtaStatus& status = by_name[queue.virtual_mta];
            ++status.queues;
            status.warm_up_day = std::max(status.warm_up_day, queue.warm_up_day);
            status.queued += queue.ready + queue.waiting + queue.held + queue.in_flight;
        }
        std::vector<VirtualMtaStatus> out;
        for (auto& [name, status] : by_name) out.push_back(std::move(status));
        answer(std::move(done), std::move(out));
    });
}

void Control::list_limits(Completion<std::vector<LimitStatus>> done) {
    engine_.on_shard(0, [this, done = std::move(done)](Shard& shard) mutable {
        answer(std::move(done), engine_.limits.status(shard.executor->now()));
    });
}

struct Control::Listing {
    Selection selection;
    std::size_t limit = 0;
    std::map<TaskKey, std::pair<std::string, std::string>> found;  // queue, state
    Completion<Result<std::vector<QueuedTask>>> done;
};

void Control::list_tasks(MailSelector which, std::size_t limit, Completion<Result<std::vector<QueuedTask>>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    auto listing = std::make_shared<Listing>(Listing{*selection, std::min(limit, kMostListed), {}, std::move(done)});
    engine_.on_shard(0, [this, listing](Shard& shard) {
        // A recipient is known only from the stored task: look at many, keep few.
        const std::size_t most = listing->selection.needs_reading() ? kMostListed : listing->limit;
        std::vector<TaskKey> keys;
        for (const auto& queue : engine_.queues.all()) {
            if (keys.size() >= most) break;
            if (!listing->selection.covers_queue(queue->site, queue->virtual_mta->name)) continue;
            std::vector<Queue::Listed> found;
            queue->list(listing->selection, most - keys.size(), *shard.executor, found);
            for (Queue::Listed& item : found) {
                keys.push_back(item.key);
                listing->found[item.key] = {queue->name, std::move(item.state)};
            }
        }
        engine_.dependencies.spool.load_facts(
            std::move(keys), {shard.executor, [this, listing](Result<std::vector<Spool::Loaded>> loaded) {
                                  finish_listing(listing, std::move(loaded));
                              }});
    });
}

void Control::finish_listing(const std::shared_ptr<Listing>& listing, Result<std::vector<Spool::Loaded>> loaded) {
    if (!loaded) return answer(std::move(listing->done), loaded.error());
    std::vector<QueuedTask> out;
    for (Spool::Loaded& stored : *loaded) {
        if (out.size() >= listing->limit) break;
        if (!listing->selection.covers(stored.task, *stored.message)) continue;
        auto& [queue, state] = listing->found[stored.task.key];
        out.push_back({std::move(stored.task), queue, state, std::move(stored.message)});
    }
    answer(std::move(listing->done), std::move(out));
}

// --- orders --------------------------------------------------------------------------------------------

void Control::give(std::vector<Order> orders, Completion<Result<std::vector<Order>>> done) {
    engine_.on_shard(0, [this, orders = std::move(orders), done = std::move(done)](Shard&) mutable {
        desk_.give(std::move(orders), std::move(done));
    });
}

void Control::withdraw(std::vector<OrderId> orders, Completion<Result<std::vector<Order>>> done) {
    engine_.on_shard(0, [this, orders = std::move(orders), done = std::move(done)](Shard&) mutable {
        desk_.withdraw(std::move(orders), std::move(done));
    });
}

void Control::resume(MailSelector which, Completion<Result<std::vector<Order>>> done) {
    const auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    engine_.on_shard(0, [this, which = std::move(which), done = std::move(done)](Shard&) mutable {
        std::vector<OrderId> ids;
        OrderPointer wider;
        engine_.orders.visit([&](const OrderPointer& order) {
            if (!order->is_pause()) return true;
            if (includes(which, order->order.which)) ids.push_back(order->order.id);
            if (includes(order->order.which, which)) wider = order;
            return true;
        });
        if (!ids.empty()) return desk_.withdraw(std::move(ids), std::move(done));
        std::string text = "no order pauses just that";
        if (wider) {
            text += "; order " + std::to_string(wider->number()) + " pauses more (" + describe(wider->order.which) +
                    "): resume that one, by its number";
        }
        answer(std::move(done), Error{ErrorKind::NotFound, text});
    });
}

void Control::list_orders(OrderFilter filter, Completion<std::vector<Order>> done) {
    engine_.on_shard(
        0, [this, filter, done = std::move(done)](Shard&) mutable { answer(std::move(done), desk_.list(filter)); });
}

void Control::count(MailSelector which, Completion<Result<MailCount>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    engine_.on_shard(0, [this, selection = *std::move(selection), done = std::move(done)](Shard&) mutable {
        desk_.sweeps().count(selection, std::move(done));
    });
}

void Control::retry(MailSelector which, Completion<Result<MailCount>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    engine_.on_shard(0, [this, selection = *std::move(selection), done = std::move(done)](Shard&) mutable {
        desk_.sweeps().retry(selection, std::move(done));
    });
}

// --- traces, modes -------------------------------------------------------------------------------------

void Control::begin_trace(TraceRequest request, Completion<Result<std::uint64_t>> done) {
    engine_.on_shard(0, [this, request = std::move(request), done = std::move(done)](Shard& shard) mutable {
        answer(std::move(done), engine_.traces->begin(request, shard.executor->now()));
    });
}

void Control::read_trace(std::uint64_t trace, Completion<Result<TracePart>> done) {
    engine_.on_shard(0, [this, trace, done = std::move(done)](Shard& shard) mutable {
        answer(std::move(done), engine_.traces->read(trace, shard.executor->now()));
    });
}

void Control::set_mode(MailSelector which, QueueModeOrder mode, std::string who, std::string why,
                       Completion<Result<std::uint64_t>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    if (!selection->is_about_queues()) {
        return answer(std::move(done),
                      Error{ErrorKind::InvalidArgument,
                            "queues have a mode, not single mails: name a queue, site or virtual MTA"});
    }
    const QueueMode wanted = mode == QueueModeOrder::Backoff ? QueueMode::Backoff : QueueMode::Normal;
    std::string reason = "by " + who;
    if (!why.empty()) reason += ": " + why;
    engine_.on_shard(0, [this, selection = *selection, wanted, reason = std::move(reason),
                         done = std::move(done)](Shard& shard) mutable {
        std::uint64_t touched = 0;
        for (const auto& queue : engine_.queues.all()) {
            if (!selection.covers_queue(queue->site, queue->virtual_mta->name)) continue;
            queue->set_mode(wanted, reason, shard);
            ++touched;
        }
        answer(std::move(done), touched);
    });
}

}  // namespace postfleet::sender
