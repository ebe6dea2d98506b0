// PickupService: every pickup directory of one process (docs/PICKUP.md). Each has a thread of its own.
//
// Life: construct → open() → start() → traffic → drain() → stop() → destruction, when the port has answered all it was asked.
// A reload acts on the files that are claimed afterwards. Directories appear and go without a restart; one that keeps its
// name keeps its paths until the next start.
//
// Threads: from one thread at a time. open() and reload() read directories, and wait for the port to say which files left by
// a crash it has; stop() waits for the threads.
// Errors: open() and reload(): a directory that cannot be used, with its place in the configuration; then nothing has
// changed.
#pragma once

#include <memory>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/ingest/smtp_listener_service.hpp"
#include "postfleet/ports/handover.hpp"

namespace postfleet::ingest {

struct PickupDependencies {
    Handover& handover;
    Metrics& metrics;
    Log log;
    std::uint64_t seed = 0;  // of message ids and weights; 0: from the operating system
};

class PickupService final {
public:
    explicit PickupService(PickupDependencies dependencies);
    ~PickupService();
    PickupService(const PickupService&) = delete;
    PickupService& operator=(const PickupService&) = delete;

    Status open(const IngestConfiguration& configuration) { return reload(configuration); }
    // Takes the first files. The hand-over takes mail.
    void start();
    Status reload(const IngestConfiguration& configuration);
    // Claims nothing more. Completes when no file is under way; those that wait stay claimed, for the next start.
    void drain(Completion<Status> done);
    void stop();

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postfleet::ingest
