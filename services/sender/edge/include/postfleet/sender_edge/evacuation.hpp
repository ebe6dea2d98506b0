// Evacuation: empties a spool that nobody delivers from: all its mail goes back through the broker, to the senders that
// are to have it, with attempts, due times and last replies (DESIGN section 5, "Drain"; decision 0042).
//
//   mark durable ─▶ for each message: read ─▶ published to each of its senders, confirmed ─▶ removed ─▶ mark taken away
//
// A spool with the mark is delivered from by nobody (is_being_evacuated()): between confirm and removal a message is in
// two places, and only one of them may act. Killed in the middle, it goes on with the next run: what it publishes a second
// time has the same id, so its sender drops it. A message that cannot be read, or that no queue takes, stays, and the mark
// with it.
//
// Events are not its business: they are in the outbox, and event_queues::OutboxPublishing empties that.
//
// Threads: confined to `on`, except start(), which blocks on the scan and comes before everything, and remaining(). Errors:
// those of the spool; a broker that is away is waited for.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/spool_courier/spool_courier.hpp"

namespace postfleet::sender {

struct EvacuationPorts {
    Executor& on;
    Spool& spool;
    std::string spool_id;
    BrokerPublisher& publisher;
    // Who is to have the mail of a virtual MTA.
    std::function<std::string(const std::string& virtual_mta)> sender_of;
    Log log;
};

struct EvacuationReport {
    std::uint64_t messages = 0, recipients = 0;  // handed over
    std::uint64_t left = 0;                      // messages that stay
    std::string why_left;                        // of the last one
};

// Whether an evacuation of this spool has begun and is not complete. Blocks; at start.
bool is_being_evacuated(Spool& spool);

class Evacuation final {
public:
    static constexpr std::size_t kMostUnderWay = 256;
    static constexpr std::uint64_t kMostOctetsUnderWay = 32u << 20;
    static constexpr Duration kRetry = std::chrono::seconds(1);

    explicit Evacuation(EvacuationPorts ports);
    ~Evacuation();
    Evacuation(const Evacuation&) = delete;
    Evacuation& operator=(const Evacuation&) = delete;

    // Reads what there is, then begins.
    Status start(Completion<Result<EvacuationReport>> done);
    // Begins with no further message; `done` runs when those under way are finished.
    void stop();
    // Messages that are still here.
    std::uint64_t remaining() const { return remaining_.load(std::memory_order_relaxed); }

private:
    void begin();
    void work();
    void carry(std::vector<TaskKey> keys);
    static bool stays(const Carried& carried);
    void leave(const MessageId& message, const Carried& carried);
    void later(UniqueFunction<void()> run);
    void complete();
    // Does nothing when this is gone.
    template <class Run>
    auto guarded(Run run) {
        return [alive = std::weak_ptr<bool>(alive_), run = std::move(run)](auto&&... values) mutable {
            if (!alive.expired()) run(std::forward<decltype(values)>(values)...);
        };
    }

    const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // shared with completions under way, weakly
    EvacuationPorts ports_;
    SpoolCourier courier_;
    std::deque<std::vector<TaskKey>> waiting_;  // the tasks of one message each
    bool is_new_mail_ = false;
    std::size_t under_way_ = 0;
    bool stopping_ = false, completed_ = false;
    std::atomic<std::uint64_t> remaining_{0};
    EvacuationReport report_;
    Completion<Result<EvacuationReport>> done_;
};

}  // namespace postfleet::sender
