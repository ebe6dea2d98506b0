// HandoverDesk: the hand-overs of one shard that wait for their answer, each with a deadline.
//
// A waiter gets its answer once, through on_answer(): the port's, or DeadlineExceeded after its patience (RFC
// 5321 §4.5.3.2.6 and RFC 1047: well before the client gives up and sends a second copy). Never inside the
// call that asked. After forget() it gets none. An answer that nobody waits for any more is still looked at:
// a message that was made durable is counted as unanswered, content that leads nowhere is discarded.
//
// All deadlines are equally long, so the waiting ones stand in a row and one timer is enough.
// Threads: confined to its shard. Borrows executor and port, which outlive every answer.
#pragma once

#include <cstdint>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/ingest/ingest_counters.hpp"
#include "postfleet/ports/feedback_intake.hpp"
#include "postfleet/ports/handover.hpp"

namespace postfleet::ingest {

class HandoverWaiter {
public:
    virtual void on_answer(const Status& status) = 0;

protected:
    ~HandoverWaiter() = default;
};

class HandoverDesk final {
public:
    static constexpr Duration kPatience = std::chrono::seconds(30);
    static constexpr Duration kForever = std::chrono::hours(24 * 365);  // where no client waits

    struct Ticket {
        std::uint32_t slot = 0;
        std::uint32_t generation = 0;  // 0: none
        explicit operator bool() const { return generation != 0; }
    };

    HandoverDesk(Executor& executor, Handover& handover, IngestCounters& counters, Duration patience = kPatience)
        : executor_(executor), handover_(handover), counters_(counters), patience_(patience) {}
    ~HandoverDesk();
    HandoverDesk(const HandoverDesk&) = delete;
    HandoverDesk& operator=(const HandoverDesk&) = delete;

    Ticket hand_over(HandoverWaiter& waiter, AcceptedMessage message);
    Ticket append(HandoverWaiter& waiter, MessageId id, std::uint32_t chunk, SharedOctets octets);
    // Mail for us goes there; without it there is none. Before traffic.
    void keep_our_mail_in(FeedbackIntake& intake) { feedback_intake_ = &intake; }
    bool keeps_our_mail() const { return feedback_intake_ != nullptr; }
    Ticket keep(HandoverWaiter& waiter, MailForUs mail);
    void forget(Ticket ticket);
    // Chunks that were appended to a message which is given up, none of them in flight.
    void discard(MessageId id, std::uint32_t chunks) { handover_.discard_content(id, chunks); }
    Admission admission() const { return handover_.admission(); }

private:
    enum class Kind : std::uint8_t { HandOver, Append, Keep };
    static constexpr std::uint32_t kNone = UINT32_MAX;

    struct Slot {
        HandoverWaiter* waiter = nullptr;  // null: nobody waits any more
        SteadyTime asked_at{};
        MessageId message;
        std::uint32_t chunks = 0;  // appended, this one included
        std::uint32_t generation = 1;
        std::uint32_t previous = kNone, next = kNone;
        Kind kind = Kind::HandOver;
        bool in_row = false;
    };

    Ticket take_slot(Kind kind, HandoverWaiter& waiter, MessageId message, std::uint32_t chunks);
    Completion<Status> completion_for(Ticket ticket);
    void finish(Ticket ticket, Status status);
    void finish_unanswered(const Slot& slot, const Status& status);
    void leave_row(std::uint32_t index);
    void watch();
    void expire();

    Executor& executor_;
    Handover& handover_;
    IngestCounters& counters_;
    const Duration patience_;
    FeedbackIntake* feedback_intake_ = nullptr;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::uint32_t first_ = kNone, last_ = kNone;
    TimerId timer_;
    bool asking_ = false;
};

}  // namespace postfleet::ingest
