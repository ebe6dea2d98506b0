// ListenerRules: everything that taking mail on one listener needs from one configuration.
//
// Threads: immutable, shared; a transaction holds the rules it began with.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/ingest/auth_guard.hpp"
#include "postfleet/ingest/user_directory.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "postfleet/smtp/server_session.hpp"

namespace postfleet::ingest {

struct ListenerRules {
    config::Listener listener;
    smtp::ServerSettings session;
    smtp::ServerSettings trusted_session;  // for clients that are not throttled
    config::Limits limits;                 // over all listeners
    bool has_rates = false;                // any, of this listener or over all
    std::string virtual_mta;               // of mail that neither a binding nor a user's own takes; empty: the default
    bool log_accepted = true;              // a line per accepted message
    config::ExpiryCountsFrom expiry_counts_from = config::ExpiryCountsFrom::SendTime;
    std::shared_ptr<const routing::Snapshot> routing;
    bool records_server = false;                // our address that the client reached, for receipts
    std::vector<std::string> recorded_headers;  // that accounting files show, lower case
    std::vector<std::string> wanted_headers;    // these and the ones that binding rules look at
    // Mail for us, its domains sorted by name; null: none.
    std::shared_ptr<const config::Intake> our_mail;  // shared_ptr: the rules are copied
    // Both null where nobody can log in. shared_ptr: the services are one for all listeners and all reloads.
    std::shared_ptr<AuthServices> auth;
    std::shared_ptr<const UserDirectory> users;

    // Whose rights the mail of a way in that is no connection has; null: it may come from anybody. shared_ptr: as users.
    std::shared_ptr<const KnownUser> sends_as;

    // shared_ptr because a reload replaces the rules while transactions still work by the old ones.
    static std::shared_ptr<const ListenerRules> make(const config::Config& config, const config::Listener& listener,
                                                     std::shared_ptr<const routing::Snapshot> routing);
    // For a listener with `auth`.
    static std::shared_ptr<const ListenerRules> make(const config::Config& config, const config::Listener& listener,
                                                     std::shared_ptr<const routing::Snapshot> routing,
                                                     std::shared_ptr<AuthServices> auth,
                                                     std::shared_ptr<const UserDirectory> users);
    // A directory is a listener of one client, which is local.
    static std::shared_ptr<const ListenerRules> make(const config::Config& config, const config::Pickup& pickup,
                                                     std::shared_ptr<const routing::Snapshot> routing);
    // The same of a queue that applications submit to.
    static std::shared_ptr<const ListenerRules> make(const config::Config& config, const config::SubmissionQueue& queue,
                                                     std::shared_ptr<const routing::Snapshot> routing);
    // And of a gRPC listener, for who has not logged in.
    static std::shared_ptr<const ListenerRules> make(const config::Config& config, const config::GrpcListener& grpc,
                                                     std::shared_ptr<const routing::Snapshot> routing);
    // Null: not ours.
    const config::IntakeDomain* our_domain(std::string_view domain) const;
    bool may_relay(const IpAddress& client) const;
    bool expects_proxy() const { return !listener.proxy_from.empty(); }
    bool is_proxy(const IpAddress& peer) const;
    bool may_xclient(const IpAddress& peer) const;
};

}  // namespace postfleet::ingest
