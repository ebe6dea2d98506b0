#include "postfleet/ingest_cluster/buffered_handover.hpp"

#include <utility>

namespace postfleet::ingest_cluster {

Admission BufferedHandover::local_admission() const {
    const LocalBuffer* const buffer = buffer_;
    return buffer && buffer->is_on() ? buffer->admission() : Admission{.open = false};
}

Admission BufferedHandover::admission() const {
    Admission broker = broker_.admission();
    if (broker.open) return broker;
    Admission local = local_admission();
    if (!local.open) local.reason = local.reason.empty() ? broker.reason : broker.reason + "; " + local.reason;
    return local;
}

void BufferedHandover::holds(MessageId id, Completion<Result<bool>> done) {
    if (LocalBuffer* const buffer = buffer_) return buffer->holds(id, std::move(done));
    broker_.holds(id, std::move(done));
}

void BufferedHandover::hand_over(AcceptedMessage message, Completion<Status> done) {
    LocalBuffer* const buffer = buffer_;
    // What may be offered again is durable with whoever offers it, and another ingest may have handed it over already.
    if (!buffer || !buffer->is_on() || message.taken_as) {
        return broker_.hand_over(std::move(message), std::move(done));
    }
    broker_.hand_over_or_keep(std::move(message), *buffer, std::move(done));
}

void BufferedHandover::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) {
    broker_.append_content(id, chunk, std::move(octets), std::move(done));
}

void BufferedHandover::discard_content(MessageId id, std::uint32_t chunks) { broker_.discard_content(id, chunks); }

}  // namespace postfleet::ingest_cluster
