// SuppressionGate: recipients on the suppression lists get no mail: they are asked for when mail is taken in, and end in
// the commit that takes in the others (decision 0044).
//
//   hand-over ─▶ lists are empty ───────────────────────────────▶ taken in
//             └▶ all its recipients asked for in one go ─▶ those on a list end as email.suppressed, the rest is taken in
//                                                      └▶ nobody answers: all of it is taken in, and counted
//
// Orders of this sender (`postfleet suppress`) are not its business: they are met before each transaction.
//
// Threads: as Handover. Borrows what it is made of.
#pragma once

#include <functional>

#include "postfleet/base/metrics.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/ports/recipient_check.hpp"
#include "postfleet/sender/sender.hpp"

namespace postfleet::sender {

class SuppressionGate final : public Handover {
public:
    // Takes in a message of which some tasks have ended (Sender::hand_over_ended).
    using TakeInEnded = std::function<void(AcceptedMessage, std::vector<EndedTask>, Completion<Status>)>;

    SuppressionGate(Handover& next, TakeInEnded take_in_ended, RecipientCheck& recipients, Metrics& metrics);

    Admission admission() const override { return next_.admission(); }
    void holds(MessageId id, Completion<Result<bool>> done) override { next_.holds(id, std::move(done)); }
    void hand_over(AcceptedMessage message, Completion<Status> done) override;
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override {
        next_.append_content(id, chunk, std::move(octets), std::move(done));
    }
    void discard_content(MessageId id, std::uint32_t chunks) override { next_.discard_content(id, chunks); }

private:
    void on_answers(AcceptedMessage message, const RecipientCheck::Answers& answers, Completion<Status> done);

    Handover& next_;
    const TakeInEnded take_in_ended_;
    RecipientCheck& recipients_;
    Counter &asked_, &unasked_;
};

}  // namespace postfleet::sender
