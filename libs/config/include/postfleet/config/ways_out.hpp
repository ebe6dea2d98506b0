// Parts of Config (config.hpp): where mail goes: virtual MTAs, pools, bindings, routes, providers.
//
// Threads: value types.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/config/values.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::config {

// The way out of a virtual MTA: a proxy that its connections go through.
struct EgressProxy {
    enum class Kind { Socks5, HaproxyV1, HaproxyV2 };
    Kind kind = Kind::Socks5;
    Endpoint address;
    static Result<EgressProxy> parse(std::string_view text);  // "socks5://127.0.0.1:1080"
    std::string to_string() const;
    friend bool operator==(const EgressProxy&, const EgressProxy&) = default;
};

struct VirtualMta {
    std::string name;
    std::vector<IpAddress> sources;                             // empty: whatever the system chooses
    std::string ehlo;                                           // default: hostname
    std::vector<std::pair<IpAddress, std::string>> ehlo_names;  // of single sources
    std::optional<EgressProxy> proxy;
    std::string proxy_user, proxy_password_file;  // SOCKS5; empty: no login
    std::string sender = "sender-0";              // whose it is in a cluster
    FlowLimits limits;                            // over all its queues; each queue's own limits come from `shaping`
    Origin origin;
};

// Of mail that is to be sent later: what expire_after is counted from.
enum class ExpiryCountsFrom { SendTime, Acceptance };

// When mail that goes again gets another virtual MTA of its pool.
enum class Rechoose { Never, OnBackoff, EveryAttempt };

struct Pool {
    std::string name;
    std::vector<std::pair<std::string, std::uint32_t>> members;  // VMTA, weight (>= 1)
    Priority priority = Priority::Normal;
    Rechoose rechoose = Rechoose::Never;
    Origin origin;
};

// One rule; every condition that is given must hold. Patterns are PCRE, matched anywhere, case-insensitive.
struct Binding {
    std::vector<std::pair<std::string, std::string>> headers;  // name → pattern
    std::string mail_from, rcpt_domain;                        // patterns; empty: not given
    std::optional<Network> client;
    std::string user, listener, template_name, tenant, job;  // exact
    std::string target;                                      // VMTA or pool
    Origin origin;
};

enum class RouteTls : std::uint8_t { Verify, Implicit };

// How a next hop is entered that is not an ordinary MX.
struct RouteAccess {
    std::optional<RouteTls> tls{};        // as it is written
    bool is_implicit_tls = false;         // TLS from the first octet (RFC 8314)
    std::string user{}, password_file{};  // empty: no login
    // Only with a certificate that is trusted and for this host; a password goes nowhere else.
    bool is_verified() const { return tls.has_value() || !user.empty(); }
    friend bool operator==(const RouteAccess&, const RouteAccess&) = default;
};

struct RouteHop {
    std::string host;  // a name or an address
    std::uint16_t port = 25;
    std::shared_ptr<const RouteAccess> access{};  // null: as any other; shared by the hops of a route
    friend bool operator==(const RouteHop&, const RouteHop&) = default;
};

// Next hops instead of MX lookup. Keys: "example.test", ".example.test" (its subdomains), "*" (everything).
using Routes = std::map<std::string, std::vector<RouteHop>>;

enum class ProviderMatch { Any, All };  // how many of Provider::mx must be among the MX hosts

struct Provider {
    std::string name;
    std::vector<std::string> mx;  // wildcards over MX host names: "*.google.com"
    ProviderMatch match = ProviderMatch::Any;
    std::vector<std::string> domains;  // that belong to it whatever their MX
    std::vector<Network> addresses;    // of the most preferred MX hosts
    // Otherwise it is the shipped one of its name, with limits.
    bool names_hosts() const { return !mx.empty() || !domains.empty() || !addresses.empty(); }
    FlowLimits limits;  // over the queues of all virtual MTAs
    Origin origin;
};

}  // namespace postfleet::config
