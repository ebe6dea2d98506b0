// SpoolCourier: takes messages out of a spool to the senders' queues on the broker.
//
//   tasks of one message ─▶ facts, content ─▶ one publish for each sender, confirmed ─▶ what was confirmed is removed
//
// One try: what went wrong is in the answer, and what is left in the spool can be carried again. Between confirm and
// removal a part is in two places; carried again it has the same id, so that its sender drops it. So nobody may deliver
// from that spool meanwhile.
//
// The content of a message goes with the last of its tasks that are given here: give all that there are.
//
// Threads: confined to `on`. When it is gone, nobody is answered. Units: octets of content.
// Errors of an answer: Corruption, NotFound without a queue (it cannot be read); NotFound with a queue (there is no such
// queue); InvalidArgument (the broker never takes it); all others are for a later try.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/ports/spool.hpp"

namespace postfleet {

struct SpoolCourierPorts {
    Executor& on;
    Spool& spool;
    BrokerPublisher& publisher;
    // Who is to have the mail of a virtual MTA.
    std::function<std::string(const std::string& virtual_mta)> sender_of;
    // Under which id a sender takes its part: always the same for the same tasks.
    std::function<MessageId(const Message& message, const Task& first_of_part)> id_of;
};

struct Carried {
    Status status;                 // ok: all of it is with the broker, and no more in the spool
    std::string queue;             // that did not take its part; empty: it was something else
    std::vector<TaskKey> left;     // in the spool, in their order
    std::uint64_t recipients = 0;  // that are with the broker
};

// Some spools keep nothing but mail that no sender has had (ingest's local buffer): its parts go under the id of their
// message, as they would have gone without the spool, so that a sender that has one after all drops the copy.
void mark_as_new_mail_only(Spool& spool, Completion<Status> done);
bool has_new_mail_only(Spool& spool);  // blocks; at start

// The queue of a sender for a part that begins with this task.
std::string queue_of(const std::string& sender, const Task& first_of_part);

class SpoolCourier final {
public:
    explicit SpoolCourier(SpoolCourierPorts ports);
    ~SpoolCourier();
    SpoolCourier(const SpoolCourier&) = delete;
    SpoolCourier& operator=(const SpoolCourier&) = delete;

    // Tasks of one message, at least one.
    void carry(std::vector<TaskKey> keys, UniqueFunction<void(Carried)> done);

    std::size_t under_way() const { return under_way_; }
    std::uint64_t octets_under_way() const { return octets_under_way_; }

private:
    struct Transfer;
    using TransferPointer = std::shared_ptr<Transfer>;  // several completions hold it

    void read_content(const TransferPointer& transfer);
    void publish_all(const TransferPointer& transfer);
    void publish(const TransferPointer& transfer, std::size_t part);
    void remove_confirmed(const TransferPointer& transfer);
    void finish(const TransferPointer& transfer);
    // Does nothing when this is gone.
    template <class Run>
    auto guarded(Run run) {
        return [alive = std::weak_ptr<bool>(alive_), run = std::move(run)](auto&&... values) mutable {
            if (!alive.expired()) run(std::forward<decltype(values)>(values)...);
        };
    }

    const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // shared with completions under way, weakly
    const SpoolCourierPorts ports_;
    std::size_t under_way_ = 0;
    std::uint64_t octets_under_way_ = 0;
};

}  // namespace postfleet
