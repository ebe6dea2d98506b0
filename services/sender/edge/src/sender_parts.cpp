#include "postfleet/sender_edge/sender_parts.hpp"

#include <utility>

#include "postfleet/config_files/delivery_tls.hpp"
#include "postfleet/config_files/passwords.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "postfleet/sender_edge/signing_keys.hpp"

namespace postfleet::sender {

Result<std::unique_ptr<SenderParts>> SenderParts::make(const config::Config& config,
                                                       std::span<net::EpollLoop* const> loops, Metrics& metrics,
                                                       Log log) {
    auto resolver = dns::UnboundResolver::create({.servers = config.dns.servers,
                                                  .timeout = config.dns.timeout,
                                                  .max_outstanding = config.dns.max_outstanding,
                                                  .trust_anchor_file = config.dns.trust_anchor_file},
                                                 metrics);
    if (!resolver) return Error{resolver.error().kind, "dns: " + resolver.error().text};
    const std::uint32_t threads = config.rendering.threads;
    std::unique_ptr<SenderParts> parts(new SenderParts(*std::move(resolver),
                                                       threads > 0 ? threads : static_cast<unsigned>(loops.size()),
                                                       loops, metrics, std::move(log)));
    parts->load_tls_contexts(config);
    return parts;
}

SenderParts::SenderParts(std::unique_ptr<dns::UnboundResolver> resolver, unsigned threads,
                         std::span<net::EpollLoop* const> loops, Metrics& metrics, Log log)
    : loops_(loops),
      metrics_(metrics),
      log_(std::move(log)),
      resolver_(std::move(resolver)),
      workers_({.threads = threads}) {
    for (net::EpollLoop* loop : loops_) tls_clients_.push_back(std::make_unique<tls::Client>(tls_contexts_, *loop));
}

SenderParts::~SenderParts() = default;

SenderDependencies SenderParts::dependencies(Spool& spool, OrderStore& state) {
    std::vector<ShardPorts> shards;
    for (std::size_t i = 0; i < loops_.size(); ++i) shards.push_back({loops_[i], loops_[i], tls_clients_[i].get()});
    return {.shards = std::move(shards),
            .spool = spool,
            .state = state,
            .resolver = *resolver_,
            .workers = workers_,
            .digests = digests_,
            .metrics = metrics_,
            .log = log_,
            .http = &http_,
            .compressor = &compressor_};
}

Result<SenderConfiguration> SenderParts::load(std::shared_ptr<const config::Config> config,
                                              std::string_view sender) const {
    std::vector<config::Problem> problems;
    auto secrets = config_files::load_secrets(*config, problems);
    if (!problems.empty()) return Error{ErrorKind::InvalidArgument, problems.front().to_string()};
    auto routing = routing::Snapshot::compile(*config, sender);
    auto keys = load_signing_keys(*config, log_);
    return SenderConfiguration{std::move(config), std::move(routing), std::move(secrets), std::move(keys)};
}

void SenderParts::load_tls_contexts(const config::Config& config) {
    tls_contexts_.forget();
    for (const TlsRules& rules : config_files::delivery_tls_rules(config)) {
        const auto loaded = tls_contexts_.of(rules);
        if (!loaded) log_.line(LogLevel::Error, "tls-unusable").field("reason", loaded.error().text);
    }
}

}  // namespace postfleet::sender
