#include "take_in.hpp"

#include <utility>

namespace postfleet::sender {

// A message on its way into the spool, and what its tasks will be scheduled by.
struct TakeIn::Taken {
    std::vector<Task> tasks;
    std::shared_ptr<const Message> message;
    std::shared_ptr<HotMessage> hot;  // null: the memory for content is used up, or it is scheduled
    Completion<Status> done;
};

namespace {

// What a message in memory costs beside its content: facts, task, their strings.
constexpr std::uint64_t kOverheadOctets = 1500;

void add_accepted_events(const AcceptedMessage& accepted, SpoolBatch& batch) {
    for (const Task& task : accepted.tasks) {
        for (const Recipient& recipient : task.recipients) {
            Event& event = batch.events.emplace_back();
            event.id = make_event_id(accepted.message->id, recipient.index, 0, EventType::Accepted);
            event.type = EventType::Accepted;
            event.time = accepted.message->accepted_at;
            event.message = accepted.message;
            event.recipient_index = recipient.index;
            event.recipient = recipient.address;
            event.original_recipient = recipient.original;
            event.virtual_mta = task.virtual_mta;
            event.pool = task.pool;
        }
    }
}

}  // namespace

Admission TakeIn::admission() const {
    if (!engine_.is_started() || engine_.is_draining()) return {false, false, "the sender takes no mail now"};
    const SpoolState state = engine_.dependencies.spool.state();
    switch (state.condition) {
        case SpoolCondition::Ready: return {};
        case SpoolCondition::SpaceLow: return {false, true, state.reason};
        case SpoolCondition::Latched: return {false, false, state.reason};
    }
    return {};
}

void TakeIn::holds(MessageId id, Completion<Result<bool>> done) {
    engine_.dependencies.spool.has_message(id, std::move(done));
}

void TakeIn::hand_over(AcceptedMessage accepted, Completion<Status> done) {
    if (!engine_.is_started() || engine_.is_draining()) {
        Executor& on = *done.on;
        on.post([done = std::move(done)]() mutable {
            done.run(Error{ErrorKind::Unavailable, "the sender takes no mail now"});
        });
        return;
    }
    // Numbers that cannot collide when tasks split later (outcome.hpp).
    for (Task& task : accepted.tasks) {
        task.key.number = task.recipients.front().index;
        task.waives_tls_policy = accepted.message->tls_wish == TlsWish::Waived;
    }

    SpoolBatch batch;
    if (engine_.reports(EventType::Accepted)) add_accepted_events(accepted, batch);
    auto taken = std::make_unique<Taken>();
    taken->message = accepted.message;
    const std::uint64_t octets = kOverheadOctets + (accepted.last_chunk ? accepted.last_chunk->size() : 0);
    // Scheduled mail waits on the disk.
    if (!accepted.message->send_at && engine_.hot_budget->try_charge(octets)) {
        const bool is_whole = accepted.message->content_chunks == 1;
        taken->hot = std::make_shared<HotMessage>(engine_.hot_budget, octets, accepted.message,
                                                  is_whole ? accepted.last_chunk : nullptr);
    }
    taken->tasks = accepted.tasks;
    taken->done = std::move(done);
    batch.put_messages.push_back({std::move(accepted.message), std::move(accepted.last_chunk)});
    batch.put_tasks = std::move(accepted.tasks);

    Executor* const on = taken->done.on;
    engine_.dependencies.spool.commit(
        std::move(batch),
        {on, [this, on, taken = std::move(taken)](Status status) mutable {
             const bool is_durable = status.has_value();
             taken->done.run(std::move(status));  // 250 first: the client waits
             if (!is_durable) return;
             if (Shard* shard = engine_.shard_of(on)) return on_committed(std::move(*taken), *shard);
             const auto any = static_cast<unsigned>(taken->message->id.octets[15] % engine_.shards.size());
             engine_.on_shard(
                 any, [this, taken = std::move(taken)](Shard& shard) { on_committed(std::move(*taken), shard); });
         }});
}

void TakeIn::on_committed(Taken&& taken, Shard& shard) {
    engine_.metrics.accepted_messages.add();
    engine_.accepted_rate.add(shard.executor->now(), 1);
    const bool shares = taken.tasks.size() > 1;
    if (shares) engine_.references.set(taken.message->id, static_cast<std::uint32_t>(taken.tasks.size()));
    for (Task& task : taken.tasks) {
        // The names live in the task, which goes into the attachment: it keeps its address.
        auto hot = std::make_unique<HotTask>();
        hot->task = std::move(task);
        hot->message = taken.message;
        const Task& kept = hot->task;
        ScheduleRequest request;
        request.domain = kept.domain;
        request.waives_tls_policy = kept.waives_tls_policy;
        request.virtual_mta = kept.virtual_mta;
        request.task.key = kept.key;
        request.task.due = kept.due;
        request.task.accepted_at = kept.accepted_at;
        request.task.deadline = kept.expires_at.value_or(schedule::kNever);
        request.task.recipients = static_cast<std::uint32_t>(kept.recipients.size());
        request.task.priority = kept.priority;
        request.task.shares_message = shares;
        request.task.tenant = kept.tenant;
        request.task.job = kept.job;
        const std::unique_ptr<HotTask> names = taken.hot ? nullptr : std::move(hot);
        if (taken.hot) {
            hot->first_chunk = taken.hot->first_chunk;
            hot->charged = taken.hot;
            request.task.attachment = std::move(hot);
        }
        engine_.schedule(std::move(request), shard);
    }
}

void TakeIn::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) {
    engine_.dependencies.spool.append_content(id, chunk, std::move(octets), std::move(done));
}

void TakeIn::discard_content(MessageId id, std::uint32_t chunks) {
    engine_.dependencies.spool.discard_content(id, chunks);
}

}  // namespace postfleet::sender
