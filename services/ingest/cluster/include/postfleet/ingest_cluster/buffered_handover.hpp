// BufferedHandover: hands over to the broker, and what the broker does not take to the local buffer, while that has room.
//
// Without a buffer, or while it is off, it is the BrokerHandover behind it. For mail that is nowhere durable yet; who holds
// it somewhere already (a submission queue, a pickup directory) had better wait for the broker; so does what has an id under
// which it is taken once (AcceptedMessage::taken_as).
//
// Threads: as Handover; use() before the first call or on any thread later, once.
#pragma once

#include <atomic>

#include "postfleet/ingest_cluster/broker_handover.hpp"
#include "postfleet/ingest_cluster/local_buffer.hpp"

namespace postfleet::ingest_cluster {

class BufferedHandover final : public Handover {
public:
    explicit BufferedHandover(BrokerHandover& broker) : broker_(broker) {}

    void use(LocalBuffer& buffer) { buffer_ = &buffer; }

    // The buffer's; closed without a reason: there is none.
    Admission local_admission() const;

    Admission admission() const override;
    void holds(MessageId id, Completion<Result<bool>> done) override;
    void hand_over(AcceptedMessage message, Completion<Status> done) override;
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override;
    void discard_content(MessageId id, std::uint32_t chunks) override;

private:
    BrokerHandover& broker_;
    std::atomic<LocalBuffer*> buffer_{nullptr};
};

}  // namespace postfleet::ingest_cluster
