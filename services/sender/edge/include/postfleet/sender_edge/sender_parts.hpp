// SenderParts: what a sender's core needs of this machine: names, connections with TLS, HTTP, threads for renditions, and
// of a configuration its secrets and keys.
//
// Threads: confined to the thread that makes it, because it blocks on files; what dependencies() names is as its ports say.
// Lives longer than the Sender that was made with its dependencies, and shorter than the loops.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/curl/client.hpp"
#include "postfleet/dns/unbound_resolver.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/runtime/worker_pool.hpp"
#include "postfleet/sender/sender.hpp"
#include "postfleet/tls/client.hpp"
#include "postfleet/zlib/compressor.hpp"

namespace postfleet::sender {

class SenderParts final {
public:
    // `loops`: the shards'. Errors: the resolver cannot be set up.
    static Result<std::unique_ptr<SenderParts>> make(const config::Config& config,
                                                     std::span<net::EpollLoop* const> loops, Metrics& metrics, Log log);
    ~SenderParts();
    SenderParts(const SenderParts&) = delete;
    SenderParts& operator=(const SenderParts&) = delete;

    SenderDependencies dependencies(Spool& spool, OrderStore& state);
    // With what is in the files that it names. Errors: a secret cannot be read; a key that cannot be is logged.
    // `sender`: of a cluster, whose virtual MTAs its mail moves between; empty: all.
    Result<SenderConfiguration> load(std::shared_ptr<const config::Config> config, std::string_view sender = {}) const;
    // The usual ones, which are read again; those that are put together of several rules come when they are used.
    void load_tls_contexts(const config::Config& config);
    // Before the Sender goes.
    void stop_workers() { workers_.stop(); }

    Resolver& resolver() { return *resolver_; }
    HttpClient& http() { return http_; }

private:
    SenderParts(std::unique_ptr<dns::UnboundResolver> resolver, unsigned threads,
                std::span<net::EpollLoop* const> loops, Metrics& metrics, Log log);

    const std::span<net::EpollLoop* const> loops_;  // its owner's, who keeps them
    Metrics& metrics_;
    const Log log_;
    const std::unique_ptr<dns::UnboundResolver> resolver_;
    const crypto::OpensslDigests digests_;
    curl::Client http_;
    const zlib::ZlibCompressor compressor_;
    runtime::WorkerPool workers_;
    tls::ClientContexts tls_contexts_;
    std::vector<std::unique_ptr<tls::Client>> tls_clients_;  // one per shard
};

}  // namespace postfleet::sender
