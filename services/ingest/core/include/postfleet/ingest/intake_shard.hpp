// IntakeShard: what the connections of one shard share: ids, random numbers, the date text, the desk.
//
// Threads: confined to its shard. Borrows what it is made from.
#pragma once

#include <string>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/id.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/ingest/handover_desk.hpp"
#include "postfleet/ingest/ingest_counters.hpp"

namespace postfleet::ingest {

class IntakeShard final {
public:
    // seed 0: from the operating system.
    IntakeShard(Executor& executor, Handover& handover, IngestCounters& counters, Log log, std::uint64_t seed,
                Duration patience = HandoverDesk::kPatience);

    Executor& executor() { return executor_; }
    HandoverDesk& desk() { return desk_; }
    IngestCounters& counters() { return counters_; }
    // Collected for us by all connections of the shard; OurMail's.
    std::uint64_t& our_mail_octets() { return our_mail_octets_; }
    const Log& log() const { return log_; }

    MessageId next_id() { return ids_.next(executor_.wall_now()); }
    std::uint64_t random();
    // RFC 5322 §3.3, written once a second.
    const std::string& date();

private:
    Executor& executor_;
    IngestCounters& counters_;
    Log log_;
    HandoverDesk desk_;
    IdGenerator ids_;
    std::uint64_t random_state_;
    std::uint64_t our_mail_octets_ = 0;
    std::chrono::sys_seconds date_of_{};
    std::string date_;
};

}  // namespace postfleet::ingest
