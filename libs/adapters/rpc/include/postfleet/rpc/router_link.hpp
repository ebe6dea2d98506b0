// RouterLink: a service's side of the control plane: the active configuration, orders, idempotency keys, and the grant
// of a sender's name.
//
//   routers ── WatchConfig, WatchOrders ──▶ on_snapshot, on_orders, and <directory>/{snapshot,orders}
//           ◀── keys(), senders(), orders(), recipients() ── the service
//
// Several routers are several addresses: a call that one does not answer in its part of the time goes to the next, and
// watching goes on there, with growing pauses when none answers. What was last known is kept on disk and given out at
// start, so a service starts and works while no router is there. Keys need a router: without one claims are Unavailable
// within call_deadline.
//
// Retries have a budget (a tenth of the calls that went well), so that routers in trouble are not asked twice by all.
//
// Threads: thread-safe; callbacks run on `executor`, which must run until the link is destroyed. first_snapshot()
// blocks, the destructor waits for calls under way (at most attempt_deadline).
// Errors: Unavailable (no router, or its store is away), DeadlineExceeded, and what the router answers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/ports/recipient_check.hpp"
#include "postfleet/ports/state_store.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::rpc {

struct RouterLinkSettings {
    std::vector<std::string> addresses;  // "router-0:7400"
    TlsFiles tls;
    std::string service;    // "sender"
    std::string name;       // of this process
    std::string directory;  // for what is kept; made if missing
    Executor& executor;
    Metrics& metrics;
    Log log;
    bool watches_orders = false;
    bool checks_recipients = false;
    Duration attempt_deadline = std::chrono::milliseconds(1'500);
    Duration call_deadline = std::chrono::seconds(4);
};

class RouterLink final {
public:
    // Reads what is kept, and begins to watch. Corruption of what is kept is logged; it is left out.
    static Result<std::unique_ptr<RouterLink>> open(RouterLinkSettings settings);
    ~RouterLink();
    RouterLink(const RouterLink&) = delete;
    RouterLink& operator=(const RouterLink&) = delete;

    // The newest: from a router, or after `patience` the one that is kept. Unavailable: there is neither.
    Result<ConfigurationSnapshot> first_snapshot(Duration patience);
    // Every later one. Setting it gives out at once what has come since first_snapshot().
    void on_snapshot(std::function<void(const ConfigurationSnapshot&)> callback);
    // First what is kept, complete; then changes.
    void on_orders(std::function<void(const OrderChanges&)> callback);

    KeyClaims& keys();
    SenderClaims& senders();
    // Changes go to the router; orders() is what is known here. update_order() reports this sender's part.
    OrderStore& orders();
    // Only with checks_recipients.
    RecipientCheck& recipients();

    // Claims the name until it is granted, and asks every few seconds whether it still is. A grant that is kept from
    // before counts while no router answers. `on_refused` is told once per reason: nothing may be delivered until
    // `on_granted` (again).
    struct Ownership {
        SenderClaim claim;
        std::function<void(const SenderGrant&)> on_granted;
        std::function<void(const std::string& why)> on_refused;
    };
    void hold_sender(Ownership ownership);

    // Tells every router, again and again, where this process answers operators. Once.
    void announce(std::string address);

    // Why the routers are not to be used; empty: one answers.
    std::string obstacle() const;

private:
    class Impl;
    explicit RouterLink(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;  // shared with timers on the executor
};

}  // namespace postfleet::rpc
