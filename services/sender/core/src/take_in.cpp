#include "take_in.hpp"

#include <utility>

namespace postfleet::sender {

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

bool TakeIn::is_closed(Completion<Status>& done) {
    if (engine_.is_started() && !engine_.is_draining()) return false;
    Executor& on = *done.on;
    on.post([done = std::move(done)]() mutable {
        done.run(Error{ErrorKind::Unavailable, "the sender takes no mail now"});
    });
    return true;
}

void TakeIn::hand_over(AcceptedMessage accepted, Completion<Status> done) {
    if (is_closed(done)) return;
    SpoolBatch batch;
    batch.taken_as = accepted.taken_as;
    NewMail mail = engine_.add_to(batch, std::move(accepted));
    Executor* const on = done.on;
    engine_.dependencies.spool.commit(
        std::move(batch), {on, [this, on, mail = std::move(mail), done = std::move(done)](Status status) mutable {
                               const bool is_new = status.has_value();
                               // A copy is as durable as the first one, and makes no second delivery.
                               if (!is_new && status.error().kind == ErrorKind::AlreadyExists) status = {};
                               done.run(std::move(status));  // 250 first: the client waits
                               if (is_new) on_taken(std::move(mail), on);
                           }});
}

void TakeIn::on_taken(NewMail mail, Executor* on) {
    if (Shard* shard = engine_.shard_of(on)) return engine_.schedule_new(std::move(mail), *shard);
    const auto any = static_cast<unsigned>(mail.message->id.octets[15] % engine_.shards.size());
    engine_.on_shard(
        any, [this, mail = std::move(mail)](Shard& shard) mutable { engine_.schedule_new(std::move(mail), shard); });
}

void TakeIn::hand_over_ended(AcceptedMessage accepted, std::vector<EndedTask> ended, Completion<Status> done) {
    if (is_closed(done)) return;
    const MessageId id = accepted.message->id;
    const std::uint32_t chunks = accepted.message->content_chunks;
    const bool is_over = accepted.tasks.empty();
    SpoolBatch batch;
    batch.taken_as = accepted.taken_as;
    const OutcomeCounts counts = engine_.add_ended_to(batch, accepted.message, std::move(ended), done.on->wall_now());
    std::optional<NewMail> mail;
    if (!is_over) mail = engine_.add_to(batch, std::move(accepted));
    Executor* const on = done.on;
    engine_.dependencies.spool.commit(
        std::move(batch),
        {on, [this, on, id, chunks, counts, mail = std::move(mail), done = std::move(done)](Status status) mutable {
             const bool is_new = status.has_value();
             if (!is_new && status.error().kind == ErrorKind::AlreadyExists) status = {};
             // Nobody reads what came before the last chunk.
             if (!mail && status && chunks > 1) {
                 engine_.dependencies.spool.discard_content(id, chunks - 1);
             }
             done.run(std::move(status));
             if (!is_new) return;
             engine_.metrics.count(counts);
             if (mail) on_taken(*std::move(mail), on);
         }});
}

void TakeIn::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) {
    engine_.dependencies.spool.append_content(id, chunk, std::move(octets), std::move(done));
}

void TakeIn::discard_content(MessageId id, std::uint32_t chunks) {
    engine_.dependencies.spool.discard_content(id, chunks);
}

}  // namespace postfleet::sender
