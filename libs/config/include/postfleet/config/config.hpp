// Config: the whole configuration as typed values, checked and complete (DESIGN section 8).
//
// Made by load_config() from parsed documents (load.hpp); never edited afterwards: a reload makes a new
// one. Every value here is valid by itself and all references are resolved (a pool's members exist, a
// binding's target exists). Secrets are not here: only where to find them.
//
// Units: octets, std::chrono durations, recipients per period. Threads: immutable once loaded; shared.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/config/accounts.hpp"
#include "postfleet/config/dkim.hpp"
#include "postfleet/config/process.hpp"
#include "postfleet/config/reports.hpp"
#include "postfleet/config/shaping.hpp"
#include "postfleet/config/values.hpp"
#include "postfleet/config/ways_in.hpp"
#include "postfleet/config/ways_out.hpp"

namespace postfleet::config {

struct Config {
    std::string hostname;
    std::string data_dir = "/var/lib/postfleet";
    std::string control_socket;  // default: data_dir/control.sock
    std::uint32_t shards = 0;    // 0: one per core
    std::map<std::string, Listener> listeners;
    std::map<std::string, Pickup> pickups;
    std::map<std::string, SubmissionQueue> submission_queues;
    std::map<std::string, GrpcListener> grpc_listeners;
    Intake intake;
    std::optional<Http> http;
    std::map<std::string, VirtualMta> virtual_mtas;
    std::map<std::string, Pool> pools;
    std::vector<Binding> bindings;
    std::string default_virtual_mta;  // VMTA or pool
    Unknown unknown_virtual_mta = Unknown::Refuse;
    ExpiryCountsFrom expiry_counts_from = ExpiryCountsFrom::SendTime;
    std::map<std::string, Provider> providers;
    bool shipped_providers = true;  // also those of shipped_providers.hpp
    Routes routes;
    std::vector<Network> allow_private_targets;  // private and reserved addresses that MX hosts may have
    std::vector<ShapingRule> shaping;
    std::vector<ReplyRule> reply_patterns;
    std::vector<BounceCategoryRule> bounce_categories;
    std::vector<DkimRule> dkim;
    std::vector<Report> reports;
    Limits limits;
    Outbound outbound;
    DsnSettings dsn;
    Spool spool;
    TakeIn take_in;
    LocalBuffer local_buffer;
    Rendering rendering;
    LogSettings log;
    Dns dns;
    HttpsClient https_client;
    std::optional<TlsReports> tls_reports;
    Duration shutdown_grace = std::chrono::seconds(25);
    std::map<std::string, Tenant> tenants;  // names that may be used; "default" is always there
    std::map<std::string, User> users;
    // Where each value stands in the files: "hostname" → mta.yaml:1:11, "listeners.relay.address" → …
    std::map<std::string, Origin> origins;
    // The values that came from ${NAME}: path → the text as written. Shown instead of the value.
    std::map<std::string, std::string> references;
    // A hash of everything above, for "which configuration is active".
    std::string version;
};

}  // namespace postfleet::config
