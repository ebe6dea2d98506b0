// Providers: which provider the mail of a domain belongs to. In this order, the configuration's own before the
// shipped ones in each step:
//
//   domains     the domain is in its list
//   match: all  every entry of its mx fits one of the most preferred MX hosts; the one with the most entries
//   mx          the longest wildcard ("*" any octets, "?" one) that fits a most preferred MX host
//   addresses   a most preferred MX host has an address in one of its networks
//
// Threads: immutable, thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lookup.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/routing/hop.hpp"

namespace postfleet::routing {

struct ProviderMatch {
    const config::Provider* provider = nullptr;
    std::string why;  // "mx *.google.com"
};

class Providers {
public:
    explicit Providers(const config::Config& config);

    std::optional<ProviderMatch> of_domain(std::string_view domain) const;
    // `best`: the most preferred hosts.
    std::optional<ProviderMatch> of_hosts(std::span<const Hop> best) const;
    std::optional<ProviderMatch> of_name(std::string_view host) const;
    // Whether mail of this provider may go to this host (match: all has a closed list).
    static bool may_use(const config::Provider& provider, std::string_view host);

private:
    struct Wildcard {
        std::string text;
        const config::Provider* provider;
    };
    void add(const std::map<std::string, config::Provider>& providers);
    std::optional<ProviderMatch> with_all(std::span<const Hop> best) const;
    std::optional<ProviderMatch> with_address(std::span<const Hop> best) const;

    std::map<std::string, config::Provider> own_, shipped_;
    std::vector<Wildcard> wildcards_;                // own ones first, the longest of each first
    std::vector<const config::Provider*> with_all_;  // most entries first
    std::vector<const config::Provider*> with_addresses_;
    StringMap<const config::Provider*> by_domain_;
};

}  // namespace postfleet::routing
