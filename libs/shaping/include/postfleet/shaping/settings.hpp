// Settings: how one queue delivers, every key with a value, merged from the shaping rules (DESIGN section 8).
//
// A rule applies when everything in its `match` fits. For each key on its own, the value comes from the most
// specific rule that sets it; among equally specific rules the later one wins. More specific means, compared
// in this order:
//
//   1. destination  domain over site over none
//   2. identity     virtual_mta over pool over none
//   3. tenant       given over none
//
// so: VMTA + site, pool + site, site, VMTA, pool, general, and `domain` above `site` in each of them. A pool
// matches when the VMTA is one of its members, whatever the mail was bound to. Keys that no rule sets have
// the defaults of config::ShapingValues.
//
// Two kinds of keys. Those of the queue (connections, rates, time-outs) shape everything that shares it;
// `domain` decides them only where the queue is the domain's own, that is, where site and domain are the
// same name (routing::Snapshot::site_of makes it so for every domain that a rule names, unless it belongs to
// a provider), and `tenant` never. Those of the mail (retry_after, expire_after) are asked per recipient and
// see domain and tenant.
//
// Threads: value types and pure functions. Units: std::chrono, recipients or connections per period.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::shaping {

using Settings = config::ShapingValues;

// A queue, or one recipient's mail in it. `domain` and `tenant` empty: the queue as such.
struct QueueIdentity {
    std::string_view site;
    std::string_view virtual_mta;
    std::string_view domain;
    std::string_view tenant;
};

Settings resolve(const config::Config& config, const QueueIdentity& queue);

// The same queue while it is in backoff: never more than usual, and the backoff's retry_after.
Settings in_backoff(const Settings& usual);

// Whether retry_after or expire_after can differ between the domains or tenants of one queue. If not, what
// resolve() says for the queue as such holds for all its mail.
bool mail_keys_differ(const config::Config& config);

// A time-out that some rule sets below what RFC 5321 §4.5.3.2 asks for. It is the operator's word, but a short one gives
// up on slow servers, and at the end of data makes second copies (RFC 1047).
struct ShortTimeout {
    std::string key;       // "end_of_data_timeout"
    std::string rule;      // as in ExplainedKey
    Duration value{}, least{};
};
std::vector<ShortTimeout> timeouts_below_standard(const config::Config& config);

// One line of `postfleet show settings SITE/VMTA`.
struct ExplainedKey {
    std::string key;    // "max_connections"
    std::string value;  // as it would be written: "20", "500/m", "[10m, 30m]"
    bool is_default = true;
    Origin origin;     // where it was set, unless is_default
    std::string rule;  // the match of that rule: "site: google, virtual_mta: promo-1"; empty: general
};
// All keys, in the order of the reference page.
std::vector<ExplainedKey> explain(const config::Config& config, const QueueIdentity& queue);

// The limits that are set and that the queue shares with others: of its virtual MTA, its provider, each source address
// and all delivery. Keys are full paths: "providers.google.max_connections".
std::vector<ExplainedKey> explain_shared(const config::Config& config, const QueueIdentity& queue);
// The keys of one of them, unlimited ones too; `path` leads to it: "providers.google".
std::vector<ExplainedKey> explain_limits(const config::Config& config, const std::string& path,
                                         const config::FlowLimits& limits);

}  // namespace postfleet::shaping
