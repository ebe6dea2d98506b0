// Membership: a service's place in the cluster: the link to the routers, and the active configuration, loaded and checked.
//
//   join() ─▶ configuration() ─▶ … each second apply_new() …
//
// Without a router a service starts with what it knew last (<data-dir>/snapshot). A configuration that cannot be used
// here is logged, and the old one stays.
//
// Threads: confined to the main thread, but for link(), whose callbacks run on a thread of their own.
// Errors: join(): no router answers and none has before; the configuration names what is not on this machine.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "postfleet/cluster_member/options.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/rpc/command_server.hpp"
#include "postfleet/rpc/router_link.hpp"
#include "postfleet/service_host/service_host.hpp"

namespace postfleet::cluster_member {

using ConfigPointer = std::shared_ptr<const config::Config>;  // shared with every part that runs by it

class Membership final {
public:
    // `service`: "ingest" …, as the router knows it. `delivers`: it wants orders and suppressions. `patience`: how long for
    // a router that answers. `host` tells the epoch (postfleet_config_epoch) until its admin door stops, which comes first.
    static Result<std::unique_ptr<Membership>> join(const MemberOptions& options, service_host::ServiceHost& host,
                                                    const std::string& service, bool delivers,
                                                    Duration patience = std::chrono::seconds(10));
    ~Membership();
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;

    const ConfigPointer& configuration() const { return configuration_; }
    // Of that configuration. Thread-safe.
    std::uint64_t epoch() const { return epoch_; }
    // A configuration that the router has activated since is loaded and given to `apply`, each once; it is the one that is
    // active here when `apply` says ok. What became of it is logged.
    void apply_new(const std::function<Status(const ConfigPointer&)>& apply);

    rpc::RouterLink& link() { return *link_; }

    // Answers operators at options.control from here on, and tells the routers where. Errors: the address cannot be had.
    Status answer_operators(rpc::CommandService service, rpc::CommandHandler handler);
    // Blocks until what is being answered is answered. Before what the handler uses is gone.
    void stop_answering();
    const std::string& operators_at() const { return operators_at_; }  // as advertised

private:
    Membership(const MemberOptions& options, Log log)
        : files_(options.files),
          control_(options.control),
          advertise_(options.advertise),
          tls_(options.tls),
          log_(log) {}
    Result<ConfigPointer> load(const ConfigurationSnapshot& snapshot);

    const std::string files_, control_, advertise_;
    const rpc::TlsFiles tls_;
    const Log log_;
    ConfigPointer configuration_;
    std::atomic<std::uint64_t> epoch_{0};
    std::mutex mutex_;  // the next
    std::optional<ConfigurationSnapshot> news_;
    std::unique_ptr<net::LoopGroup> loop_;  // the link's: it answers whatever the shards do
    std::unique_ptr<rpc::RouterLink> link_;
    std::unique_ptr<rpc::CommandServer> operators_;
    std::string operators_at_;
};

}  // namespace postfleet::cluster_member
