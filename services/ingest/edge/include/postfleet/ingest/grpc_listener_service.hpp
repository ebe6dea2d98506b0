// GrpcListenerService: every address of one process where applications submit mail by gRPC (docs/SUBMITTING_BY_GRPC.md).
//
// Life: construct → open() → start() → traffic → drain() → stop() → destruction, when the ports have answered all they
// were asked. A reload acts on the submissions that come afterwards. Listeners appear and go without a restart; one that
// keeps its name keeps its address, certificate files and limits of calls until the next start.
//
// Threads: from one thread at a time; listeners() likewise. stop() waits for the threads, a reload for up to
// kGraceOfOneThatGoes where a listener goes.
// Errors: open() and reload(): what cannot be bound or read, with its place in the configuration; then nothing has changed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/ingest/logins.hpp"
#include "postfleet/ingest/smtp_listener_service.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/ports/key_claims.hpp"

namespace postfleet::ingest {

struct GrpcDependencies {
    Handover& handover;
    KeyClaims* keys = nullptr;  // null: submissions with a key are refused
    Logins& logins;
    Metrics& metrics;
    Log log;
    std::uint64_t seed = 0;  // of message ids and weights; 0: from the operating system
};

class GrpcListenerService final {
public:
    static constexpr Duration kGraceOfOneThatGoes = std::chrono::seconds(5);

    explicit GrpcListenerService(GrpcDependencies dependencies);
    ~GrpcListenerService();
    GrpcListenerService(const GrpcListenerService&) = delete;
    GrpcListenerService& operator=(const GrpcListenerService&) = delete;

    // Listens; calls wait until start().
    Status open(const IngestConfiguration& configuration) { return reload(configuration); }
    void start();
    Status reload(const IngestConfiguration& configuration);
    // Takes nothing more. Completes when every call has its results.
    void drain(Completion<Status> done);
    void stop();

    struct Listener {
        std::string name;
        Endpoint address;  // as bound: the port is never 0
    };
    std::vector<Listener> listeners() const;

private:
    struct Entry;
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postfleet::ingest
