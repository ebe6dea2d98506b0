// SubmissionService: every RabbitMQ queue of one process that applications submit mail to (docs/SUBMITTING_BY_QUEUE.md).
//
// Life: construct → open() → start() → traffic → drain() → stop() → destruction, when the ports have answered all they
// were asked. A reload acts on the submissions that are taken afterwards. Queues appear and go without a restart; one
// that keeps its name keeps its broker and its consumers until the next start.
//
// A broker that is away is no error: it is an obstacle() until it is there.
//
// Threads: from one thread at a time; obstacle() from any. stop() waits for the threads.
// Errors: open() and reload(): what the system does not give; then nothing has changed.
#pragma once

#include <memory>
#include <string>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/ingest/smtp_listener_service.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/ports/key_claims.hpp"

namespace postfleet::ingest {

struct SubmissionDependencies {
    Handover& handover;
    KeyClaims* keys = nullptr;  // null: submissions with a key are refused
    Metrics& metrics;
    Log log;
    std::string directory;   // for notes that must outlive the process; made when it is missing
    std::uint64_t seed = 0;  // of message ids and weights; 0: from the operating system
};

class SubmissionService final {
public:
    explicit SubmissionService(SubmissionDependencies dependencies);
    ~SubmissionService();
    SubmissionService(const SubmissionService&) = delete;
    SubmissionService& operator=(const SubmissionService&) = delete;

    Status open(const IngestConfiguration& configuration) { return reload(configuration); }
    // Takes the first submissions. The hand-over takes mail.
    void start();
    Status reload(const IngestConfiguration& configuration);
    // Takes nothing more. Completes when all that was accepted is acknowledged.
    void drain(Completion<Status> done);
    void stop();

    // Why nothing can be taken just now, for readiness; empty: nothing is in the way.
    std::string obstacle() const;

private:
    struct Queue;
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postfleet::ingest
