// OutcomeRecorder: makes the outcomes of one shard durable, together, in the order they came.
//
//   record ─▶ pending ──one commit at a time──▶ spool ──ok──▶ on_recorded for each
//                ▲───────── failed: kept, committed again when the spool is ready ◀──┘
//
// While a commit is on its way outcomes gather for the next one, so a busy shard makes few large commits.
// Nobody waits for them; Engine bounds how many are not durable yet.
//
// Threads: confined to its shard. A task returns to its queue only after its outcome is durable: otherwise
// another shard's commit for the same task could overtake this one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "outcome.hpp"
#include "postfleet/base/executor.hpp"
#include "postfleet/ports/spool.hpp"
#include "work.hpp"

namespace postfleet::sender {

class Engine;
struct Shard;

// What remains of a task, to be scheduled again.
struct ReturningTask {
    TaskKey key;
    WallTime due{}, accepted_at{}, deadline{};
    std::uint32_t recipients = 0;
    std::uint16_t attempts = 0;
    Priority priority = Priority::Normal;
    bool waives_tls_policy = false;
    std::string domain, virtual_mta, tenant, job;
};

struct RecordedTask {
    std::shared_ptr<Queue> queue;  // null: an operator event, no task
    schedule::TaskId id = schedule::kNoTask;
    std::uint32_t domain = 0;
    bool shares_message = false;
    MessageId message;
    std::uint32_t content_chunks = 1;
    std::uint64_t size_octets = 0;
    OutcomeCounts counts;
    std::string last_failure;  // the reply of a failed attempt, for display
    std::vector<ReturningTask> remaining;
    std::unique_ptr<NewMail> notification;  // to the sender, in the same commit; null: none
};

class OutcomeRecorder final {
public:
    static constexpr Duration kRetry = std::chrono::seconds(1);

    OutcomeRecorder(Engine& engine, Shard& shard) : engine_(engine), shard_(shard) {}

    // The batch that add() speaks of: what the task does to the spool goes in here first.
    SpoolBatch& pending() { return pending_; }
    void add(RecordedTask&& recorded);
    // The spool is ready again.
    void on_ready();

private:
    void flush_later();
    void flush();
    void on_committed(const Status& status);

    Engine& engine_;
    Shard& shard_;
    SpoolBatch pending_, in_flight_;
    std::vector<RecordedTask> pending_tasks_, in_flight_tasks_;
    bool is_committing_ = false;
    bool will_flush_ = false;
    bool must_repeat_ = false;  // in_flight_ failed and comes first
};

}  // namespace postfleet::sender
