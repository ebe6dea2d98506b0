// Watchers: the streams that routers keep open to other services, WatchConfig and WatchOrders.
//
// A watcher owns itself until gRPC is done with it; the hub knows the living ones. What is new while a write is under
// way waits for it; of several configurations only the last is sent.
//
// Threads: thread-safe.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <set>

#include "postfleet/base/log.hpp"
#include "postfleet/ports/state_store.hpp"
#include "postfleet/v1/control.pb.h"

namespace postfleet::rpc {

using SharedSnapshot = std::shared_ptr<const v1::ConfigSnapshot>;  // written to many watchers

class ConfigWatcher;
class OrdersWatcher;

class Watchers final {
public:
    Watchers(StateStore& store, Executor& executor, std::size_t most)
        : store_(store), executor_(executor), most_(most) {}

    grpc::ServerWriteReactor<v1::ConfigSnapshot>* watch_config(std::uint64_t known_epoch);
    grpc::ServerWriteReactor<v1::OrderChangesMessage>* watch_orders(std::uint64_t known_revision);
    void publish(SharedSnapshot snapshot);
    void announce_orders(std::uint64_t revision);
    // All streams end, and no new ones are taken.
    void close();
    std::size_t size() const;

private:
    friend class ConfigWatcher;
    friend class OrdersWatcher;
    void forget(ConfigWatcher* watcher);
    void forget(OrdersWatcher* watcher);

    StateStore& store_;
    Executor& executor_;
    const std::size_t most_;
    mutable std::mutex mutex_;  // the rest; held while watchers are told
    std::set<ConfigWatcher*> config_watchers_;
    std::set<OrdersWatcher*> orders_watchers_;
    SharedSnapshot snapshot_;
    bool closed_ = false;
};

}  // namespace postfleet::rpc
