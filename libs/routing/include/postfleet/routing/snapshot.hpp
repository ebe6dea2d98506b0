// Snapshot: the binding rules, pools, routes and providers of one configuration, compiled for speed.
//
// What decides which virtual MTA sends a message, and what its site is called (DESIGN sections 2 and 3).
//
//   bind      X-Virtual-MTA where it is honoured, else the first rule that matches, else the user's, else the default
//             → VMTA, or pool → one of its VMTAs by weight. Virtual MTAs and pools share one namespace
//   route     next hops instead of MX lookup: "example.test", then the nearest ".parent", then "*"
//   place     the site: the provider that the domain, the MX hosts or the route's hops belong to; else the domain
//             when the configuration names it (routes, or a shaping rule's `domain:` or `site:`); else the
//             first-sorting lowest-preference MX host; the domain while DNS fails (docs/decisions/0010)
//
// Names in a result point into the snapshot: they are valid as long as it is held. Random numbers come in as
// arguments, spread over all 64 bits. Binding does not allocate, except for the text of a refusal.
//
// Threads: immutable, thread-safe. Never blocks. Errors: none; an unknown name is a refusal, which is an
// outcome.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/routing/hop.hpp"

namespace postfleet::routing {

struct HeaderField {
    std::string_view name;
    std::string_view value;  // unfolded
};

// What is known of a message when it is bound. Everything may be empty.
struct BindRequest {
    std::string_view virtual_mta;          // X-Virtual-MTA, only where it is honoured
    std::span<const HeaderField> headers;  // at least wanted_headers(), as often as they occur
    std::string_view mail_from;
    std::string_view rcpt_domain;  // lower case
    std::optional<IpAddress> client;
    std::string_view user_virtual_mta;  // `users.<name>.virtual_mta`; a VMTA or pool that exists
    std::string_view user, listener, template_name, tenant, job;
};

struct BindResult {
    std::string_view virtual_mta;  // empty: refused
    std::string_view pool;         // empty: bound to a VMTA by name
    Priority priority = Priority::Normal;
    std::string refusal;  // why, for the client: "virtual MTA 'x' does not exist"
    explicit operator bool() const { return refusal.empty(); }
};

// Where the mail of a domain stands in line, and why.
struct Placement {
    std::string site;
    std::string provider;   // empty: none
    std::string why;        // "provider google: mx *.google.com", "the first of the most preferred MX hosts"
    Origin origin;          // the line of the configuration that decided; line 0: none did
    std::vector<Hop> hops;  // those that its mail goes to
};

class Snapshot {
public:
    // The configuration was checked by load_config(): its references exist and its patterns compile.
    // shared_ptr because a reload replaces it while sessions still bind with the old one.
    // `sender`: whose virtual MTAs are chosen (virtual_mtas.<name>.sender), as long as it has any; empty: all are.
    static std::shared_ptr<const Snapshot> compile(const config::Config& config, std::string_view sender = {});
    ~Snapshot();
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

    BindResult bind(const BindRequest& request, std::uint64_t random) const;
    // The header names that some rule looks at, lower case, without duplicates. Empty: no need to look.
    std::span<const std::string> wanted_headers() const;
    // Whether recipients of one message can be bound differently. If not, bind once per message.
    bool depends_on_recipient() const;

    // A member of the pool by weight, leaving out the excluded; empty when none is left. The name of a VMTA
    // is a pool of one. Empty for an unknown name.
    std::string_view choose_from_pool(std::string_view pool, std::span<const std::string_view> excluded,
                                      std::uint64_t random) const;
    bool has_virtual_mta(std::string_view name) const;

    // The next hops for a domain (lower case); null: ask DNS.
    const std::vector<config::RouteHop>* find_route(std::string_view domain) const;
    // `hops`: what admit() let pass, in any order, or those of the route; empty while DNS fails.
    Placement place(std::string_view domain, std::vector<Hop> hops) const;
    std::string site_of(std::string_view domain, std::span<const Hop> hops) const {
        return place(domain, {hops.begin(), hops.end()}).site;
    }

    // Which of the hosts that DNS answered mail for this domain goes to. Not for routes: their hops are the
    // operator's word.
    Admission admit(std::string_view domain, std::vector<Hop> hops, HopsState state) const;
    // Whether an address that somebody else names may be connected to at all.
    bool may_connect_to(const IpAddress& address) const;

    // The configuration's version (Config::version).
    const std::string& version() const;

private:
    Snapshot();
    struct Tables;
    std::unique_ptr<const Tables> tables_;
};

}  // namespace postfleet::routing
