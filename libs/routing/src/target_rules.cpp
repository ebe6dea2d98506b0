#include "target_rules.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::routing {

namespace {

constexpr std::uint16_t kSmtpPort = 25;

bool has_address(const Hop& hop) { return !hop.addresses.empty(); }

}  // namespace

TargetRules::TargetRules(const config::Config& config)
    : own_name_(to_ascii_lower(config.hostname)), allowed_(config.allow_private_targets) {
    // Only where we listen on the port that MX hosts are connected to: behind another port of the same address may
    // be another server, which mail is meant for.
    for (const auto& [name, listener] : config.listeners) {
        if (listener.address.port != kSmtpPort) continue;
        if (!listener.address.address.is_unspecified()) {
            own_addresses_.push_back(listener.address.address);
            continue;
        }
        for (const auto& [mta, settings] : config.virtual_mtas) {
            for (const auto& source : settings.sources) {
                if (source.v6 == listener.address.address.v6) own_addresses_.push_back(source);
            }
        }
    }
}

bool TargetRules::is_own(const Hop& hop) const {
    return hop.host == own_name_ ||
           std::find_first_of(hop.addresses.begin(), hop.addresses.end(), own_addresses_.begin(),
                              own_addresses_.end()) != hop.addresses.end();
}

bool TargetRules::may_connect_to(const IpAddress& address) const {
    return !address.is_reserved() || std::any_of(allowed_.begin(), allowed_.end(),
                                                 [&](const Network& network) { return network.contains(address); });
}

Admission TargetRules::admit(std::string_view domain, std::vector<Hop> hops, HopsState state) const {
    using Verdict = Admission::Verdict;
    const Hop* own = nullptr;
    for (const Hop& hop : hops) {
        if (is_own(hop) && (own == nullptr || hop.preference < own->preference)) own = &hop;
    }
    if (own != nullptr) {
        const std::string name = own->host;
        const auto limit = own->preference;
        std::erase_if(hops, [&](const Hop& hop) { return hop.preference >= limit; });
        if (hops.empty()) {
            return {Verdict::Loop,
                    fmt::format("mail for {} loops back: its mail exchanger {} is this host", domain, name),
                    {}};
        }
    }
    const Hop* refused = nullptr;
    IpAddress address;
    for (Hop& hop : hops) {
        std::erase_if(hop.addresses, [&](const IpAddress& candidate) {
            if (may_connect_to(candidate)) return false;
            refused = &hop;
            address = candidate;
            return true;
        });
    }
    if (std::any_of(hops.begin(), hops.end(), has_address)) return {Verdict::Deliverable, {}, std::move(hops)};
    if (refused == nullptr || state == HopsState::Partial) {
        return {Verdict::Unknown, fmt::format("no usable address of the hosts of {} is known", domain), {}};
    }
    return {Verdict::Private,
            fmt::format("{}: {} has the address {}, which is private or reserved (allow_private_targets)", domain,
                        refused->host, address.to_string()),
            {}};
}

}  // namespace postfleet::routing
