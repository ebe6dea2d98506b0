// SubmissionConsumer: what one consumer of a submission queue does with each delivery.
//
//   delivery ─▶ waiting ─parse▶ desk ─▶ Accepted, Duplicate: acknowledged
//                 ▲                 ├─▶ Refused, or not to be parsed: published to the rejected queue with the reason,
//                 │                 │   and acknowledged when that is confirmed
//                 └── paused ◀──────┴── Later, or the rejected queue cannot be reached
//
// While it is paused nothing is taken and nothing is given back: a delivery that is put back counts against the limit
// after which a broker drops it (RMQ-19). After kPause one is tried, and the others follow when it went well. What was
// lost with its connection is forgotten, because the broker gives it out again.
//
// A submission that makes the process die would do so again and take its neighbours with it. So what has come back
// kSuspect times is taken alone, with a note that survives the process: who finds the note of an earlier process knows
// who it was, and after kMostCrashes rejects it (F27).
//
// A delivery with a message_id of its own is taken once, however often it comes (AcceptedMessage::taken_as): the same id
// with the same body is the same submission.
//
// Threads: confined to its shard. Borrows what it is made from. Errors: none; what is wrong is logged, counted and told
// in the rejected queue.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "postfleet/base/digests.hpp"
#include "postfleet/ingest/submission_desk.hpp"
#include "postfleet/ports/broker.hpp"

namespace postfleet::ingest {

struct SubmissionCounters {
    SubmissionCounters(Metrics& metrics, const std::string& queue);
    Counter& accepted;
    Counter& duplicates;  // by their idempotency key
    Counter& rejected;
    Counter& redelivered;  // accepted at a later delivery than the first, with nothing to tell them by: promise P3
    Counter& lost;         // taken, and gone with the connection
    Counter& pauses;
    Gauge& waiting;  // taken, and neither accepted nor refused yet
};

// A body as its content type says. Refused: the text is for the application.
using SubmissionParser = UniqueFunction<Result<Submission>(const BrokerMessage&)>;

// Of the submission that is taken alone, kept until it has an end: it survives the process, not a power loss.
struct Suspect {
    std::string fingerprint;
    std::uint32_t crashes = 0;
};
class SuspectNotes {
public:
    virtual ~SuspectNotes() = default;
    virtual void write(const Suspect& suspect) = 0;
    virtual void clear() = 0;
};

class SubmissionConsumer final {
public:
    static constexpr Duration kPause = std::chrono::seconds(1);
    static constexpr std::uint32_t kSuspect = 2;  // earlier deliveries
    static constexpr std::uint32_t kMostCrashes = 2;
    static constexpr std::size_t kMostReason = 2000;

    struct Setup {
        std::string name;   // of the submission queue in the configuration
        std::string queue;  // on the broker
        BrokerAddress rejected;
        std::uint64_t max_body_octets = 0;
        IntakeShard& shard;
        SubmissionDesk& desk;
        BrokerPublisher& publisher;
        const Digests& digests;
        SubmissionCounters& counters;
        SuspectNotes& notes;
        std::vector<Suspect> left;  // notes of earlier processes
        SubmissionParser parse;
        SubmissionSource source;
    };

    explicit SubmissionConsumer(Setup setup);
    ~SubmissionConsumer();
    SubmissionConsumer(const SubmissionConsumer&) = delete;
    SubmissionConsumer& operator=(const SubmissionConsumer&) = delete;

    // Before the first delivery; outlives this, or is taken away with null.
    void attach(BrokerConsumer* consumer) { consumer_ = consumer; }
    // For what is taken from now on.
    void use(std::shared_ptr<const ListenerRules> rules, Duration idempotency_window);
    void deliver(BrokerDelivery&& delivery);
    void on_lost();
    // Takes nothing more; `quiet` runs when nothing is on its way to the store or the rejected queue.
    void drain(Callback quiet);
    bool is_paused() const { return flow_ != Flow::Open; }

private:
    struct Waiting {
        BrokerDelivery delivery;
        std::optional<MessageId> id;  // that it had at an earlier try
    };
    struct Open {
        BrokerDelivery delivery;
        bool is_lost = false;  // its connection has gone: there is nothing to settle
    };
    // Paused: nothing begins. Trying: one does.
    enum class Flow : std::uint8_t { Open, Paused, Trying };

    void pump();
    bool may_begin(const BrokerDelivery& delivery) const;
    void begin(Waiting&& waiting);
    bool is_suspect(const BrokerDelivery& delivery) const;
    bool is_to_blame(const BrokerDelivery& delivery);
    std::string fingerprint(const BrokerDelivery& delivery) const;
    SubmissionSource source_of(const BrokerDelivery& delivery) const;
    void on_outcome(std::uint64_t tag, SubmissionOutcome&& outcome);
    void reject(std::uint64_t tag, const std::string& why);
    void on_rejected(std::uint64_t tag, const std::string& why, const Status& published);
    void settle(std::uint64_t tag, BrokerVerdict verdict);
    void put_back(std::uint64_t tag, const std::string& why, std::optional<MessageId> id = {});
    void pause(const std::string& why);
    void try_one();
    void resume();
    void look_quiet();

    Setup setup_;
    BrokerConsumer* consumer_ = nullptr;
    std::deque<Waiting> waiting_;
    std::unordered_map<std::uint64_t, Open> open_;  // by tag
    bool is_alone_ = false;                         // the one that is open is a suspect
    bool is_draining_ = false;
    Flow flow_ = Flow::Open;
    TimerId timer_;
    Callback when_quiet_;
    std::shared_ptr<SubmissionConsumer*> alive_ = std::make_shared<SubmissionConsumer*>(this);
};

}  // namespace postfleet::ingest
