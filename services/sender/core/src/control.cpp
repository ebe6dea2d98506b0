#include "control.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "selection.hpp"

namespace postfleet::sender {

namespace {

constexpr std::string_view kPauseNote = "pause/";  // pause/<site>/<virtual MTA> → reason

std::string note_of(const QueueTable::PauseRule& rule) {
    return std::string(kPauseNote) + rule.site + "/" + rule.virtual_mta;
}

template <class T, class Value>
void answer(Completion<T>&& done, Value&& value) {
    Executor& on = *done.on;
    on.post([done = std::move(done), value = T(std::forward<Value>(value))]() mutable { done.run(std::move(value)); });
}

}  // namespace

// --- looking -------------------------------------------------------------------------------------------

std::vector<QueueStatus> Control::queue_statuses(SteadyTime now) const {
    std::vector<QueueStatus> out;
    for (const auto& queue : engine_.queues.all()) out.push_back(queue->status(now));
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
}

void Control::status(Completion<SenderStatus> done) {
    engine_.on_shard(0, [this, done = std::move(done)](Shard& shard) mutable {
        SenderStatus out;
        for (const auto& queue : engine_.queues.all()) {
            const QueueStatus status = queue->status(shard.executor->now());
            ++out.queues;
            out.ready += status.ready;
            out.waiting += status.waiting;
            out.in_flight += status.in_flight;
            out.queued_recipients += status.ready + status.waiting + status.in_flight;
            out.connections += status.connections;
            out.delivered_per_second += status.delivered_per_second;
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
        answer(std::move(done), queue_statuses(shard.executor->now()));
    });
}

void Control::list_virtual_mtas(Completion<std::vector<VirtualMtaStatus>> done) {
    engine_.on_shard(0, [this, done = std::move(done)](Shard& shard) mutable {
        std::map<std::string, VirtualMtaStatus> by_name;
        for (const auto& identity : engine_.queues.virtual_mtas()) {
            VirtualMtaStatus& status = by_name[identity->name] = identity->status(shard.executor->now());
            status.connections = engine_.limits.of_virtual_mta(identity->name)->connections();
        }
        for (const QueueStatus& queue : queue_statuses(shard.executor->now())) {
            VirtualMtaStatus& status = by_name[queue.virtual_mta];
            ++status.queues;
            status.queued += queue.ready + queue.waiting + queue.in_flight;
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
    if (!which.reverse_path.empty()) {
        return answer(std::move(done), Error{ErrorKind::InvalidArgument, "listing by reverse-path is not supported"});
    }
    auto listing = std::make_shared<Listing>(Listing{*selection, std::min(limit, kMostListed), {}, std::move(done)});
    engine_.on_shard(0, [this, listing](Shard& shard) {
        const Queue::TaskTest test = listing->selection.task_test(engine_);
        // A recipient is known only from the stored task: look at many, keep few.
        const std::size_t most = listing->selection.needs_stored_task() ? kMostListed : listing->limit;
        std::vector<TaskKey> keys;
        for (const auto& queue : engine_.queues.all()) {
            if (!listing->selection.covers(*queue) || keys.size() >= most) continue;
            std::vector<Queue::Listed> found;
            queue->list(test, most - keys.size(), *shard.executor, found);
            for (Queue::Listed& item : found) {
                keys.push_back(item.key);
                listing->found[item.key] = {queue->name, std::move(item.state)};
            }
        }
        engine_.dependencies.spool.load_tasks(std::move(keys),
                                              {shard.executor, [this, listing](Result<std::vector<Task>> tasks) {
                                                   finish_listing(listing, std::move(tasks));
                                               }});
    });
}

void Control::finish_listing(const std::shared_ptr<Listing>& listing, Result<std::vector<Task>> tasks) {
    if (!tasks) return answer(std::move(listing->done), tasks.error());
    std::vector<QueuedTask> out;
    for (Task& task : *tasks) {
        if (out.size() >= listing->limit) break;
        if (!listing->selection.covers(task)) continue;
        auto& [queue, state] = listing->found[task.key];
        out.push_back({std::move(task), queue, state});
    }
    answer(std::move(listing->done), std::move(out));
}

// --- pausing -------------------------------------------------------------------------------------------

void Control::restore_pauses() {
    for (const auto& [name, value] : engine_.dependencies.spool.notes()) {
        if (!name.starts_with(kPauseNote) || value.empty()) continue;
        const std::string rule = name.substr(kPauseNote.size());
        const std::size_t slash = rule.rfind('/');
        if (slash == std::string::npos) continue;
        engine_.queues.add_pause({rule.substr(0, slash), rule.substr(slash + 1), value});
    }
}

void Control::apply_pauses() {
    for (const auto& queue : engine_.queues.all()) {
        bool paused = false;
        std::string reason = engine_.queues.pause_reason(queue->site, queue->virtual_mta->name, paused);
        queue->set_paused(paused, std::move(reason));
    }
}

void Control::pause(MailSelector which, std::string who, std::string why, Completion<Result<std::uint64_t>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    if (!selection->is_about_queues()) {
        return answer(std::move(done), Error{ErrorKind::InvalidArgument,
                                             "queues are paused, not single mails: name a queue, site or virtual MTA"});
    }
    QueueTable::PauseRule rule{selection->site(), selection->virtual_mta(), "by " + who};
    if (!why.empty()) rule.reason += ": " + why;
    // Durable first: an order that a crash forgets was never given.
    engine_.dependencies.spool.put_note(
        note_of(rule), rule.reason,
        {engine_.shards[0]->executor, [this, rule, done = std::move(done)](Status status) mutable {
             if (!status) return answer(std::move(done), status.error());
             engine_.queues.add_pause(rule);
             apply_pauses();
             std::uint64_t touched = 0;
             for (const auto& queue : engine_.queues.all()) {
                 if (rule.covers(queue->site, queue->virtual_mta->name)) ++touched;
             }
             answer(std::move(done), touched);
         }});
}

void Control::resume(MailSelector which, Completion<Result<std::uint64_t>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    if (!selection->is_about_queues()) {
        return answer(std::move(done),
                      Error{ErrorKind::InvalidArgument,
                            "queues are resumed, not single mails: name a queue, site or virtual MTA"});
    }
    engine_.on_shard(0, [this, selection = *selection, done = std::move(done)](Shard&) mutable {
        const QueueTable::PauseRule which_rule{selection.site(), selection.virtual_mta(), {}};
        std::vector<std::shared_ptr<Queue>> paused;
        for (const auto& queue : engine_.queues.all()) {
            bool is_paused = false;
            engine_.queues.pause_reason(queue->site, queue->virtual_mta->name, is_paused);
            if (is_paused && selection.covers(*queue)) paused.push_back(queue);
        }
        const auto removed = engine_.queues.remove_pauses(which_rule);
        for (const auto& rule : removed) {
            // An empty note is none. Should this not become durable, the pause comes back with a restart and
            // is seen; the opposite would not be.
            engine_.dependencies.spool.put_note(note_of(rule), "", {engine_.shards[0]->executor, [](Status) {}});
        }
        apply_pauses();
        std::uint64_t touched = 0;
        for (const auto& queue : paused) {
            bool is_paused = false;
            engine_.queues.pause_reason(queue->site, queue->virtual_mta->name, is_paused);
            if (!is_paused) ++touched;
        }
        engine_.pump_all();
        if (touched == 0 && !paused.empty()) {
            return answer(std::move(done),
                          Error{ErrorKind::InvalidArgument,
                                "paused by a wider order; resume that one: " +
                                    paused.front()->status(engine_.shards[0]->executor->now()).hold_reason});
        }
        answer(std::move(done), touched);
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
            if (!selection.covers(*queue)) continue;
            queue->set_mode(wanted, reason, shard);
            ++touched;
        }
        answer(std::move(done), touched);
    });
}

// --- single mails --------------------------------------------------------------------------------------

void Control::retry(MailSelector which, Completion<Result<std::uint64_t>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    if (selection->needs_stored_task()) {
        return answer(std::move(done),
                      Error{ErrorKind::InvalidArgument, "retry takes queue, site, domain, tenant, job or message"});
    }
    engine_.on_shard(0, [this, selection = *selection, done = std::move(done)](Shard& shard) mutable {
        std::uint64_t recipients = 0;
        const Queue::TaskTest test = selection.task_test(engine_);
        for (const auto& queue : engine_.queues.all()) {
            if (selection.covers(*queue)) recipients += queue->retry(test, shard);
        }
        answer(std::move(done), recipients);
    });
}

// Removes in slices; a slice is read and recorded before the next one is claimed.
struct Control::Removal {
    Selection selection;
    std::string reason;
    std::vector<std::shared_ptr<Queue>> queues;
    std::uint32_t from = 0;  // where the next slice of the last queue begins
    std::uint64_t recipients = 0;
    Completion<Result<std::uint64_t>> done;
};

void Control::remove(MailSelector which, std::string who, std::string why, Completion<Result<std::uint64_t>> done) {
    auto selection = Selection::parse(which);
    if (!selection) return answer(std::move(done), selection.error());
    if (selection->needs_stored_task()) {
        return answer(std::move(done),
                      Error{ErrorKind::InvalidArgument, "delete takes queue, site, domain, tenant, job or message"});
    }
    std::string reason = "deleted by " + who;
    if (!why.empty()) reason += ": " + why;
    auto removal = std::make_shared<Removal>(Removal{*selection, std::move(reason), {}, 0, 0, std::move(done)});
    engine_.on_shard(0, [this, removal](Shard& shard) {
        for (const auto& queue : engine_.queues.all()) {
            if (removal->selection.covers(*queue)) removal->queues.push_back(queue);
        }
        remove_some(removal, shard);
    });
}

void Control::remove_some(const std::shared_ptr<Removal>& removal, Shard& shard) {
    const Queue::TaskTest test = removal->selection.task_test(engine_);
    while (!removal->queues.empty()) {
        // Unreadable or unrecorded work piles up behind a latched spool: go on when it has been recorded.
        if (engine_.unrecorded() > Engine::kMaxUnrecorded / 2) {
            shard.executor->schedule_at(shard.executor->now() + std::chrono::milliseconds(20),
                                        [this, removal, &shard] { remove_some(removal, shard); });
            return;
        }
        std::vector<Work> claimed = removal->queues.back()->claim(test, removal->from, removal->recipients);
        for (Work& work : claimed) {
            removal->recipients += work.recipients;
            Untried cancelled;
            cancelled.disposition = Disposition::Cancelled;
            cancelled.reason = removal->reason;
            engine_.finish_untried(std::move(work), std::move(cancelled), shard);
        }
        if (removal->from == 0) removal->queues.pop_back();
    }
    answer(std::move(removal->done), removal->recipients);
}

}  // namespace postfleet::sender
