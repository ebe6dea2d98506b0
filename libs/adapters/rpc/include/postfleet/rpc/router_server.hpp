// RouterServer: the router's side of the control plane (proto/postfleet/v1/control.proto) over gRPC.
//
// Calls are translated, given to the store, and answered when it has completed; nothing blocks a thread. publish() and
// announce_orders() are told what is new, and every watcher gets it: a configuration as it is, orders as changes since
// what the watcher knows, which it reads from the store. Connections, calls under way, watchers, message
// sizes and memory are bounded.
// Health service: yes. Reflection: no.
//
// Threads: thread-safe. Completions of the store run on `executor`, which must run until stop() has returned.
// Errors: start(): the address or a TLS file cannot be used. Callers get gRPC's codes for our error kinds.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/ports/state_store.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::rpc {

struct RouterServerSettings {
    std::string address;  // "127.0.0.1:7400", "[::]:7400"; port 0: any
    TlsFiles tls;
    StateStore& store;
    Executor& executor;
    Metrics& metrics;
    Log log;
    std::function<std::set<std::string>()> named_senders{};  // that the configuration gives mail; none: not known
};

class RouterServer final {
public:
    static constexpr std::size_t kMostCalls = 2'000;     // under way; more are refused
    static constexpr std::size_t kMostWatchers = 2'000;  // of each kind
    static constexpr std::uint32_t kMostConnections = 4'000;
    static constexpr int kMostRequestOctets = 4 << 20;
    static constexpr int kMostBatch = 1'000;  // keys, recipients or orders in one request

    static Result<std::unique_ptr<RouterServer>> start(RouterServerSettings settings);
    ~RouterServer();
    RouterServer(const RouterServer&) = delete;
    RouterServer& operator=(const RouterServer&) = delete;

    int port() const;
    void publish(ConfigurationSnapshot snapshot);
    void announce_orders(std::uint64_t revision);
    // What the health service says.
    void set_serving(bool is_serving);
    // Watchers are told to go to another router; calls under way get `grace`.
    void stop(Duration grace);

private:
    class Impl;
    explicit RouterServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postfleet::rpc
