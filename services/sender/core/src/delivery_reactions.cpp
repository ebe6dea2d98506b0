// What reply patterns change of a transaction's results, and what they do to the queue.

#include <utility>

#include "delivery_session.hpp"

namespace postfleet::sender {

// Replies that refuse are few; mail that goes does not come here.
void DeliverySession::apply_reply_rules() {
    const auto rules = engine_.reply_rules();
    if (!rules) return;
    Reaction whole;
    OpenFailure refusal;
    for_each_task([&](const Work& work, std::span<RecipientResult> results) {
        const Task& task = work.hot->task;
        const ReplyScope scope{queue_->site, queue_->virtual_mta->name, task.domain, task.tenant};
        const Reply* last = nullptr;  // recipients mostly share one
        Reaction reaction;
        for (RecipientResult& result : results) {
            if (result.reply == nullptr || result.reply->code < 400) continue;
            if (result.reply != last) {
                last = result.reply;
                reaction = rules->react(*result.reply, result.phase, scope);
                if (whole.is_nothing() && !reaction.is_nothing()) {
                    refusal = {result.phase,         smtp::Ending::Replied,   *result.reply,
                               connector_.mx_host(), connector_.mx_address(), connector_.source_address()};
                }
                whole.add(reaction);
            }
            const bool other_host = reaction.skip_host && connector_.has_other_host();
            result.disposition = refine(result.disposition, reaction, result.phase, other_host);
            result.wait = reaction.retry_after;
        }
    });
    if (whole.is_nothing()) return;
    if (whole.skip_host) {
        engine_.peers.on_unreachable(connector_.peer(), shard_.executor->now());
        draining_ = true;  // not over this connection
    }
    if (whole.disable_source) draining_ = true;
    // Not from here: the queue may hand this session's own task around.
    shard_.executor->post([self = shared_from_this(), whole = std::move(whole), refusal = std::move(refusal)] {
        self->engine_.carry_out(whole, self->queue_, refusal, self->shard_);
    });
}

}  // namespace postfleet::sender
