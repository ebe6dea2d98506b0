#include "postfleet/reporting/gated_handover.hpp"

namespace postfleet::reporting {

Admission GatedHandover::admission() const {
    Admission reports = reports_.admission();
    return reports.open ? next_.admission() : reports;
}

void GatedHandover::holds(MessageId id, Completion<Result<bool>> done) { next_.holds(id, std::move(done)); }

void GatedHandover::hand_over(AcceptedMessage message, Completion<Status> done) {
    next_.hand_over(std::move(message), std::move(done));
}

void GatedHandover::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets,
                                         Completion<Status> done) {
    next_.append_content(id, chunk, std::move(octets), std::move(done));
}

void GatedHandover::discard_content(MessageId id, std::uint32_t chunks) { next_.discard_content(id, chunks); }

}  // namespace postfleet::reporting
