// SmtpListenerService: every SMTP listener of one process, over all event loops.
//
//   accept ─▶ Connection (Stream ◀▶ smtp::ServerSession ◀▶ Intake) ─▶ Handover ─▶ 250
//
// Life: construct → start() → traffic → drain() → destruction, when the loops have stopped.
// A reload acts on what comes next: new transactions work by the new configuration, open ones finish by the
// old. Listeners appear, move and go without a restart; connections of one that goes are drained.
//
// Owns: listening sockets, connections. Borrows everything in IngestDependencies, which must outlive it; the
// loops must have stopped, or be idle with no connection open, before it is destroyed.
//
// Users: password files are read at start() and reload(); connections that are up follow before their next transaction.
// Certificates: start() and reload() read the files of every listener with TLS again; connections that are up go
// on with what they have.
//
// Threads: start, reload, drain and listeners() from one thread that is none of the loops'. A connection is
// confined to its loop. Never blocks, but for reading certificates. Errors: start() and reload(): an address
// that cannot be bound, a certificate or key that is not good, with its place in the configuration; then nothing has changed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/ingest/logins.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/ports/feedback_intake.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/routing/snapshot.hpp"

namespace postfleet::ingest {

struct IngestDependencies {
    std::span<net::EpollLoop* const> loops;  // one per shard; the order is Executor::shard()
    Handover& handover;
    Metrics& metrics;
    Log log;
    std::uint64_t seed = 0;                     // of message ids and weights; 0: from the operating system
    FeedbackIntake* feedback_intake = nullptr;  // for mail for us; null: there is none
};

// shared_ptr because a reload replaces them while transactions still work by the old ones.
struct IngestConfiguration {
    std::shared_ptr<const config::Config> config;
    std::shared_ptr<const routing::Snapshot> routing;
};

struct ListenerStatus {
    std::string name;
    Endpoint address;  // as bound: the port is never 0
    std::uint32_t connections = 0;
    std::uint64_t connections_total = 0;
    std::uint64_t messages_total = 0;
    std::uint64_t recipients_total = 0;
};

class SmtpListenerService final {
public:
    explicit SmtpListenerService(IngestDependencies dependencies);
    ~SmtpListenerService();
    SmtpListenerService(const SmtpListenerService&) = delete;
    SmtpListenerService& operator=(const SmtpListenerService&) = delete;

    Status start(IngestConfiguration configuration);
    Status reload(IngestConfiguration configuration);
    // Closes the listening sockets, tells idle connections 421, lets transactions in flight finish. Completes
    // when the last connection is gone, or at the deadline with DeadlineExceeded, after closing the rest.
    void drain(SteadyTime deadline, Completion<Status> done);

    std::vector<ListenerStatus> listeners() const;
    // For the other ways in with users.
    Logins& logins();

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postfleet::ingest
