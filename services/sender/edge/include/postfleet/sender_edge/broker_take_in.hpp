// BrokerTakeIn: brings the mail that the broker holds for this sender into its spool (DESIGN section 5, "Take-in").
//
//   postfleet.deliver.<sender>.high ─┐                       ┌─ hand_over() ─▶ spool commit ─▶ ack
//   postfleet.deliver.<sender> ──────┼─▶ decoded, waits here ─┤
//   postfleet.overflow.<sender> ─────┘   (while it shrinks)   └─ its queue is over its quota: publish to the overflow
//                                                                queue, confirm ─▶ ack
//
//  * Nothing is acknowledged before the next hop has it durably. What is given out twice, or published twice, has the id of
//    its hand-over, and its tasks: it waits once here, and is taken once by the spool (AcceptedMessage::taken_as).
//  * The high queue goes first; one in kNormalShare hand-overs is a normal one as long as there are any.
//  * At the high-water mark (messages or octets in the spool) it takes no more, at the low mark (kLowMark of it) it goes
//    on. What the consumers have been given by then, at most the prefetch budget, still comes in.
//  * A spool that is latched or low on space, and a broker that does not confirm, hold everything up; it goes on by
//    itself. What has been held for kHoldAtMost goes back to the broker, which would take it back soon anyway.
//  * What cannot be read goes to postfleet.rejected, with the reason in a header. A hand-over of a later version stays
//    where it is, and stops the take-in until a newer Postfleet runs.
//  * Mail that came out of the overflow queue and may not come in yet goes to its end. One way through the queue is a
//    sweep; there is one when a queue that overflowed is down to half its quota, and at a start.
//
// Threads: confined to `on`; start() and stop() may be called from any. Completions of hand-overs run on the shards in turn,
// so that mail is scheduled on all of them. Destroyed after stop() has completed, or when the executors run no more.
// Errors: none; obstacle() says for people what holds it up.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/sender/sender.hpp"

namespace postfleet::sender {

struct BrokerTakeInPorts {
    Executor& on;
    std::vector<Executor*> shards;
    std::function<std::unique_ptr<BrokerConsumer>(BrokerConsumerOptions)> consume;
    // Where a consumer that has stopped is destroyed, because that may take a while; empty: at once.
    std::function<void(std::unique_ptr<BrokerConsumer>)> dispose;
    BrokerPublisher& publisher;
    Handover& handover;
    // Whether the spool has taken a hand-over of this id (Spool::was_taken).
    std::function<void(MessageId taken_as, Completion<Result<bool>> done)> was_taken;
    std::function<Sender::Backlog()> backlog;
    std::function<std::uint64_t(std::string_view domain, std::string_view virtual_mta)> queued_for;
    Metrics& metrics;
    Log log;
};

class BrokerTakeIn final {
public:
    static constexpr unsigned kNormalShare = 8;
    static constexpr double kLowMark = 0.9;
    static constexpr Duration kHoldAtMost = std::chrono::minutes(5);

    BrokerTakeIn(BrokerTakeInPorts ports, std::string sender, config::TakeIn settings);
    ~BrokerTakeIn();
    BrokerTakeIn(const BrokerTakeIn&) = delete;
    BrokerTakeIn& operator=(const BrokerTakeIn&) = delete;

    // Only an owner of the sender's name may (ownership.hpp).
    void start();
    void reload(config::TakeIn settings);
    // Takes nothing more, finishes what it has begun, and gives the rest back. Completes when that is done.
    void stop(Completion<Status> done);
    // Why nothing comes in; empty: it does. Thread-safe.
    std::string obstacle() const;

private:
    class Work;
    std::shared_ptr<Work> work_;  // shared with completions that are under way
};

}  // namespace postfleet::sender
