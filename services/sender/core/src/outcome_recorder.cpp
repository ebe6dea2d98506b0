#include "outcome_recorder.hpp"

#include <utility>

#include "engine.hpp"

namespace postfleet::sender {

void OutcomeRecorder::add(RecordedTask&& recorded) {
    pending_tasks_.push_back(std::move(recorded));
    engine_.count_unrecorded(+1);
    flush_later();
}

void OutcomeRecorder::flush_later() {
    if (is_committing_ || will_flush_) return;
    will_flush_ = true;
    // At the end of the turn, so that everything that one turn of the loop finishes goes together.
    shard_.executor->post([this] {
        will_flush_ = false;
        flush();
    });
}

void OutcomeRecorder::flush() {
    if (is_committing_) return;
    if (!must_repeat_) {
        if (pending_tasks_.empty()) return;
        in_flight_ = std::exchange(pending_, {});
        in_flight_.urgency = SpoolBatch::Urgency::Outcome;
        in_flight_tasks_ = std::exchange(pending_tasks_, {});
    }
    is_committing_ = true;
    // A copy goes, the original stays until it is known to be durable: a latched spool forgets what it had.
    engine_.dependencies.spool.commit(in_flight_, {shard_.executor, [this](Status status) { on_committed(status); }});
}

void OutcomeRecorder::on_committed(const Status& status) {
    is_committing_ = false;
    if (!status) {
        must_repeat_ = true;
        if (engine_.dependencies.spool.state().condition != SpoolCondition::Latched) {
            // Not latched (any more): nobody will call on_ready().
            engine_.dependencies.log.line(LogLevel::Error, "outcome-commit-failed")
                .field("outcomes", in_flight_tasks_.size())
                .field("reason", status.error().text);
            shard_.executor->schedule_at(shard_.executor->now() + kRetry, [this] { flush(); });
        }
        return;
    }
    must_repeat_ = false;
    in_flight_ = {};
    std::vector<RecordedTask> recorded = std::exchange(in_flight_tasks_, {});
    flush();
    for (RecordedTask& task : recorded) engine_.on_recorded(std::move(task), shard_);
    engine_.count_unrecorded(-static_cast<std::ptrdiff_t>(recorded.size()));
}

void OutcomeRecorder::on_ready() {
    if (must_repeat_) flush();
}

}  // namespace postfleet::sender
