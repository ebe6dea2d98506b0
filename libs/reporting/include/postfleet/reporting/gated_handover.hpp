// GatedHandover: a Handover that takes no new mail while a report sink is full that should pause mail
// (on_full: pause). Mail whose transaction has begun is handed over.
//
// Threads: as Handover. Borrows both.
#pragma once

#include "postfleet/reporting/event_carrier.hpp"
#include "postfleet/ports/handover.hpp"

namespace postfleet::reporting {

class GatedHandover final : public Handover {
public:
    GatedHandover(Handover& next, const EventCarrier& reports) : next_(next), reports_(reports) {}

    Admission admission() const override;
    void holds(MessageId id, Completion<Result<bool>> done) override;
    void hand_over(AcceptedMessage message, Completion<Status> done) override;
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override;
    void discard_content(MessageId id, std::uint32_t chunks) override;

private:
    Handover& next_;
    const EventCarrier& reports_;
};

}  // namespace postfleet::reporting
