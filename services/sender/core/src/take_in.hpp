// TakeIn: the standalone Handover: what ingest has accepted becomes durable here, then is scheduled.
//
// One spool commit per message; ok means point A of DESIGN section 4. The task is scheduled on the shard that
// took the message in, right behind the answer, and its content stays in memory for the first attempt as long
// as config.spool.memory_for_content allows; beyond that the attempt reads it back. What was taken before under the same
// `taken_as` is answered with ok, and nothing else happens.
//
// Threads: thread-safe. Errors: as Spool; Unavailable before start and while draining.
#pragma once

#include "engine.hpp"

namespace postfleet::sender {

class TakeIn final : public Handover {
public:
    explicit TakeIn(Engine& engine) : engine_(engine) {}

    Admission admission() const override;
    void holds(MessageId id, Completion<Result<bool>> done) override;
    void hand_over(AcceptedMessage message, Completion<Status> done) override;
    void hand_over_ended(AcceptedMessage message, std::vector<EndedTask> ended, Completion<Status> done);
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override;
    void discard_content(MessageId id, std::uint32_t chunks) override;

private:
    // True: it was answered, because nothing is taken now.
    bool is_closed(Completion<Status>& done);
    void on_taken(NewMail mail, Executor* on);

    Engine& engine_;
};

}  // namespace postfleet::sender
