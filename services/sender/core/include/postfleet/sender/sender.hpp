// Sender: the delivery engine of one process: spool, queues `site/vmta`, traffic shaping, retries, SMTP client.
//
//   hand_over ─▶ spool commit ─▶ site table ─▶ queue site/vmta ─▶ delivery session ─▶ outcome ─▶ spool commit
//                                  (Resolver)      │    ▲              (Stream)
//                                                  └────┘ due-time heap: one timer per queue
//
// Life: construct → start() → traffic → drain() → destruction. start() rebuilds the index from the spool;
// attempts and due times survive. hand_over() before start() is refused with Unavailable.
//
// Owns: queues, sessions, limits, the site table. Borrows everything in SenderDependencies, which must outlive
// it. It is destroyed after the shards have stopped and before they are destroyed.
//
// Threads: thread-safe, except start() (once, before traffic; blocks on the spool scan) and destruction.
// Sessions are confined to the shard that opened them; a queue is shared behind a mutex of its own that is
// held for less than a microsecond (docs/decisions/0004).
// Errors: start() fails when the spool or the orders cannot be read. Everything later is an outcome, an event or a hold
// reason, never an error.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/executor.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/secret.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/ports/compressor.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/ports/http_client.hpp"
#include "postfleet/ports/resolver.hpp"
#include "postfleet/ports/sender_control.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/ports/state_store.hpp"
#include "postfleet/ports/tls_client.hpp"
#include "postfleet/ports/transport.hpp"
#include "postfleet/ports/signing_key.hpp"
#include "postfleet/ports/workers.hpp"
#include "postfleet/routing/snapshot.hpp"

namespace postfleet::sender {

struct ShardPorts {
    Executor* executor = nullptr;    // executor->shard() is the index in SenderDependencies::shards
    Transport* transport = nullptr;  // of the same shard
    TlsClient* tls = nullptr;        // likewise; null: there is no TLS, and what needs it is deferred
};

struct SenderDependencies {
    std::vector<ShardPorts> shards;  // at least one
    Spool& spool;
    OrderStore& state;
    Resolver& resolver;
    Workers& workers;  // what makes renditions
    const Digests& digests;
    Metrics& metrics;
    Log log;
    HttpClient* http = nullptr;              // null: nothing is fetched, so no MTA-STS policies
    const Compressor* compressor = nullptr;  // null: no TLS reports are sent
    std::uint64_t seed = 0;                  // of the choices among equal hosts; 0: from the operating system
};

// What password files hold, by path.
using Secrets = std::map<std::string, Secret, std::less<>>;

// By the index of config->dkim; why it cannot be used, where it cannot.
using SigningKeys = std::vector<Result<std::shared_ptr<const SigningKey>>>;

// shared_ptr because a reload replaces them while sessions still work by the old ones.
struct SenderConfiguration {
    std::shared_ptr<const config::Config> config;
    std::shared_ptr<const routing::Snapshot> routing;
    std::shared_ptr<const Secrets> secrets;           // null: none
    std::shared_ptr<const SigningKeys> signing_keys;  // null: none; mail that needs one waits
};

// Recipients of a message that get nothing, and why.
struct EndedTask {
    Task task;
    std::string reason;
};

class Sender {
public:
    Sender(SenderDependencies dependencies, SenderConfiguration configuration);
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    // Reads the spool and schedules what is in it. Call once, before the shards run (or on the only one).
    Status start();
    // New settings apply to every queue at once; mail of a VMTA that is gone holds as `virtual-mta-missing`.
    void reload(SenderConfiguration configuration);
    // Orders that were given or withdrawn elsewhere in the cluster (RouterLink::on_orders). Thread-safe.
    void follow_orders(OrderChanges changes);
    // Takes nothing more, finishes the transactions in flight, says QUIT, records every outcome; mail stays
    // in the spool. Completes when all is quiet, or at the deadline with DeadlineExceeded.
    void drain(SteadyTime deadline, Completion<Status> done);

    // In a cluster (docs/decisions/0041): no transaction begins from `until` on, of steady_clock_with_suspend(), until it
    // is moved on. Whoever owns the sender's name moves it on again and again, so that a process that stood still does
    // not go on as if it had not. SteadyTime::max(), as at the start: no such limit.
    void allow_until(SteadyTime until);

    Handover& handover();
    // The same for a message of which some recipients are suppressed: their events and what goes out come into the
    // spool together. `message` may have no tasks left.
    void hand_over_ended(AcceptedMessage message, std::vector<EndedTask> ended, Completion<Status> done);
    SenderControl& control();

    // What it holds, for those who decide whether it gets more. Thread-safe, and cheap.
    struct Backlog {
        std::uint64_t messages = 0, octets = 0;  // of content
    };
    Backlog backlog() const;
    // Recipients in the queue (site/vmta) where such mail would go; 0 while its site is not known.
    std::uint64_t queued_for(std::string_view domain, std::string_view virtual_mta) const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postfleet::sender
