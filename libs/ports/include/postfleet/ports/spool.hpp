// Spool (port): durable store of accepted messages, their tasks, outcomes and unsent events.
//
// Every implementation promises (tests/contract/spool_contract.hpp):
//  * commit() completes with ok only when everything in the batch survives a power loss; ingest answers
//    250 only after that (RFC 5321 §6.1). All of a batch is kept, or nothing.
//  * before completion readers see nothing; a crash leaves nothing or all.
//  * batches of one thread are committed in the order of the calls.
//  * remove of an unknown id is ok, because redelivery asks twice.
//  * a batch whose `taken_as` was committed before, at most the configured time ago, completes with AlreadyExists
//    and leaves nothing, also when both are under way together; content that was appended for it goes, unless its
//    message is there. Such a batch (with `taken_as`) whose message is there already, from another one, completes with
//    InvalidArgument and leaves nothing: it can come in when that message is finished.
//  * append_content() alone makes nothing visible: content without a task disappears at the next start.
//  * a record that does not check out is set aside and reported (quarantined()), never returned.
//  * after a failed write or sync it is latched: every commit fails with Unavailable until it has reopened
//    itself and proved a synced write; nothing unconfirmed is trusted. Commits that had already been queued
//    fail too. Callers keep what they must not lose and commit again after on_state_change says Ready.
//
// Threads: thread-safe, except open-time scanning. Never blocks: completions run on the executor named in
// the Completion. Bounded: more than the configured octets in flight makes commit() complete with
// ResourceExhausted at once, except for batches marked Urgency::Outcome, which are always taken.
// Units: octets as on the wire (CRLF line ends).
// Errors: AlreadyExists (taken before), ResourceExhausted (space low or too much in flight), Corruption, NotFound, Unavailable (latched).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/mail/event.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet {

struct SpoolBatch {
    enum class Urgency { Acceptance, Outcome };
    struct NewMessage {
        std::shared_ptr<const Message> message;
        SharedOctets last_chunk;
    };
    Urgency urgency = Urgency::Acceptance;
    std::vector<NewMessage> put_messages;
    std::vector<Task> put_tasks;  // inserts or replaces
    std::vector<TaskKey> remove_tasks;
    // Removes message facts and all content chunks. The caller knows when the last task is done.
    struct RemovedMessage {
        MessageId id;
        std::uint32_t content_chunks = 1;
    };
    std::vector<RemovedMessage> remove_messages;
    std::vector<Event> events;  // appended to the outbox in this order
    // Committed with the batch, and remembered for a while. A batch with an id that is remembered leaves nothing.
    std::optional<MessageId> taken_as;
};

enum class SpoolCondition {
    Ready,
    SpaceLow,  // below the reserve: acceptance is refused, outcomes are taken
    Latched,   // nothing is taken until it has recovered
};

struct SpoolState {
    SpoolCondition condition = SpoolCondition::Ready;
    std::string reason;  // for people; empty when Ready
};

class Spool {
public:
    virtual ~Spool() = default;

    virtual void commit(SpoolBatch batch, Completion<Status> done) = 0;

    // For content above one chunk: written as it comes, made durable by the commit that names the message.
    virtual void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) = 0;
    // Of a message that is given up; when it is there, somebody else has committed it under the same id, and it stays.
    virtual void discard_content(MessageId id, std::uint32_t chunks) = 0;

    // What a delivery needs: the task as stored, its message, and the first chunk of content.
    struct Loaded {
        Task task;
        std::shared_ptr<const Message> message;
        SharedOctets first_chunk;  // null: it was not asked for
    };
    virtual void load(TaskKey key, Completion<Result<Loaded>> done) = 0;
    // The same without content, for what is not sent. What is not there, or cannot be read, is left out.
    virtual void load_facts(std::vector<TaskKey> keys, Completion<Result<std::vector<Loaded>>> done) = 0;
    virtual void read_chunk(MessageId id, std::uint32_t chunk, Completion<Result<SharedOctets>> done) = 0;
    // Whether a message of this id was committed and is not removed.
    virtual void has_message(MessageId id, Completion<Result<bool>> done) = 0;
    // Whether a batch with this id was committed, and is remembered.
    virtual void was_taken(MessageId taken_as, Completion<Result<bool>> done) = 0;
    // Only the stored tasks, for listings. Unknown keys are left out.
    virtual void load_tasks(std::vector<TaskKey> keys, Completion<Result<std::vector<Task>>> done) = 0;

    // At start, before any other call: every stored task once, tasks of one message together. Blocks.
    virtual Status scan_tasks(UniqueFunction<void(Task&&)> visit) = 0;

    // Small named values of the operator's (paused queues …): durable when done says ok.
    virtual void put_note(std::string name, std::string value, Completion<Status> done) = 0;
    virtual std::vector<std::pair<std::string, std::string>> notes() = 0;  // blocks; at start

    // Cheap, any thread.
    virtual SpoolState state() const = 0;
    // `changed` runs on `on`'s thread after every change of the condition. Register before traffic starts.
    virtual void on_state_change(Executor& on, UniqueFunction<void(SpoolState)> changed) = 0;

    struct Statistics {
        std::uint64_t commits = 0, synced_writes = 0, octets_written = 0, latches = 0, quarantined = 0;
        std::uint64_t repeated = 0;  // batches that were committed before, and dropped
        std::uint64_t octets_in_flight = 0, free_octets = 0;
        double sync_seconds_total = 0;
    };
    virtual Statistics statistics() const = 0;
};

}  // namespace postfleet
