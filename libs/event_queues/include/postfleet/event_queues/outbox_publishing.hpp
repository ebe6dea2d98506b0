// OutboxPublishing: publishes what an outbox still has, when nobody adds to it any more: before a sender's name is made
// free, and from a spool without a sender (decision 0042).
//
// Every sink gets what waits for it, whatever its quota. It is done when each has confirmed all of it; a broker that is away
// is waited for. Stopped before that, it is done again from where each sink has come to.
//
// Threads: externally locked; start() and stop() block, stop() at most for the carrier's grace. Borrows the outbox and the
// metrics. Errors: those of the outbox.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/ports/event_log.hpp"
#include "postfleet/reporting/event_carrier.hpp"

namespace postfleet::event_queues {

class OutboxPublishing final {
public:
    struct State {
        std::uint64_t left = 0;  // events, each counted for every sink that has not got it
        std::string obstacle;    // why a sink takes none; empty: it goes well
    };

    // Sinks that are not named are left as they are with `Others::Kept`, and forgotten with their events otherwise.
    using Others = reporting::CarrierOptions::Others;
    static Result<std::unique_ptr<OutboxPublishing>> start(EventLog& outbox, std::vector<reporting::SinkSetup> sinks,
                                                           Others others, Metrics& metrics, Log log);

    State state() const;
    // What is left then.
    State stop();

private:
    OutboxPublishing(EventLog& outbox, reporting::CarrierOptions options, Metrics& metrics, Log log)
        : outbox_(outbox), carrier_(outbox, std::move(options), metrics, log) {}

    EventLog& outbox_;
    std::map<std::string, std::uint64_t> begun_at_;  // by sink
    reporting::EventCarrier carrier_;
};

}  // namespace postfleet::event_queues
