// BrokerHandover: the Handover of a cluster: a message is durable when the broker has confirmed it for every sender that
// has to do with it (point A of DESIGN section 4).
//
//   tasks ──by sender of their virtual MTA──▶ one publish each to postfleet.deliver ──all confirmed──▶ ok
//                                               ▲                                │
//                                               └── again, until the deadline ◀──┘ refused, lost, unknown
//
// What is published again has the same id, by which the sender drops the second copy; so a broker that restarts, or loses
// a confirm, costs its clients some seconds and no second mail. It is the message's, or AcceptedMessage::taken_as of one
// that may be offered again: then another ingest may have handed it over before. When the deadline comes first:
//
//   Unavailable        no sender has it                   ResourceExhausted  not even tried: too much is under way
//   DeadlineExceeded   some sender may have its part: the client will offer all of it again (counted)
//
// Content that comes in chunks is kept in memory until its message is handed over, inside the same limit.
//
// Threads: thread-safe. hand_over() is called on the thread of its completion's executor. Units: octets of content.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "postfleet/base/metrics.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/ports/handover.hpp"

namespace postfleet::ingest_cluster {

class LocalBuffer;

struct BrokerHandoverOptions {
    std::uint64_t most_octets = 128ull << 20;         // under way
    Duration deadline = std::chrono::seconds(20);     // less than what a client at the door is made to wait
    Duration pause = std::chrono::milliseconds(200);  // before a publish that failed is tried again
    // Which sender has this virtual MTA; empty: none. Any thread.
    std::function<std::string(const std::string& virtual_mta)> sender_of;
};

class BrokerHandover final : public Handover {
public:
    BrokerHandover(BrokerPublisher& publisher, BrokerHandoverOptions options, Metrics& metrics);
    ~BrokerHandover() override;

    Admission admission() const override;
    // No: what was published is the broker's or a sender's, which drops what it has already.
    void holds(MessageId id, Completion<Result<bool>> done) override;
    void hand_over(AcceptedMessage message, Completion<Status> done) override;
    // What is not confirmed goes to the buffer instead of to the broker again; at once while the broker takes nothing.
    void hand_over_or_keep(AcceptedMessage message, LocalBuffer& buffer, Completion<Status> done);
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override;
    void discard_content(MessageId id, std::uint32_t chunks) override;

    std::uint64_t octets_under_way() const;

private:
    struct Shared;
    struct Transfer;
    void begin(AcceptedMessage message, LocalBuffer* buffer, Completion<Status> done);
    const std::shared_ptr<Shared> shared_;  // with transfers whose completions come later
};

}  // namespace postfleet::ingest_cluster
