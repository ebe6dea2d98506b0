#include "providers.hpp"

#include <algorithm>

#include "postfleet/base/glob.hpp"
#include "postfleet/config/shipped_providers.hpp"

namespace postfleet::routing {

Providers::Providers(const config::Config& config) : own_(config.providers) {
    if (config.shipped_providers) {
        shipped_ = config::shipped_providers();
        std::erase_if(own_, [](const auto& entry) { return !entry.second.names_hosts(); });
        std::erase_if(shipped_, [&](const auto& entry) { return own_.contains(entry.first); });
    }
    add(own_);
    add(shipped_);
    std::stable_sort(with_all_.begin(), with_all_.end(),
                     [](const config::Provider* a, const config::Provider* b) { return a->mx.size() > b->mx.size(); });
}

void Providers::add(const std::map<std::string, config::Provider>& providers) {
    const auto first = static_cast<std::ptrdiff_t>(wildcards_.size());
    for (const auto& [name, provider] : providers) {
        for (const auto& domain : provider.domains) by_domain_.emplace(domain, &provider);
        if (!provider.addresses.empty()) with_addresses_.push_back(&provider);
        if (provider.match == config::ProviderMatch::All) {
            with_all_.push_back(&provider);
        } else {
            for (const auto& wildcard : provider.mx) wildcards_.push_back({wildcard, &provider});
        }
    }
    std::stable_sort(wildcards_.begin() + first, wildcards_.end(),
                     [](const Wildcard& a, const Wildcard& b) { return a.text.size() > b.text.size(); });
}

std::optional<ProviderMatch> Providers::of_domain(std::string_view domain) const {
    const auto found = by_domain_.find(domain);
    if (found == by_domain_.end()) return std::nullopt;
    return ProviderMatch{found->second, "domain " + std::string(domain)};
}

std::optional<ProviderMatch> Providers::of_name(std::string_view host) const {
    const auto found = std::find_if(wildcards_.begin(), wildcards_.end(),
                                    [&](const Wildcard& wildcard) { return matches_glob(wildcard.text, host); });
    if (found == wildcards_.end()) return std::nullopt;
    return ProviderMatch{found->provider, "mx " + found->text};
}

std::optional<ProviderMatch> Providers::of_hosts(std::span<const Hop> best) const {
    if (auto found = with_all(best)) return found;
    for (const Hop& hop : best) {
        if (auto found = of_name(hop.host)) return found;
    }
    return with_address(best);
}

std::optional<ProviderMatch> Providers::with_all(std::span<const Hop> best) const {
    const auto is_there = [&](const std::string& wildcard) {
        return std::any_of(best.begin(), best.end(), [&](const Hop& hop) { return matches_glob(wildcard, hop.host); });
    };
    for (const auto* provider : with_all_) {
        if (!std::all_of(provider->mx.begin(), provider->mx.end(), is_there)) continue;
        return ProviderMatch{provider, "all of mx"};
    }
    return std::nullopt;
}

std::optional<ProviderMatch> Providers::with_address(std::span<const Hop> best) const {
    for (const auto* provider : with_addresses_) {
        for (const Network& network : provider->addresses) {
            for (const Hop& hop : best) {
                const bool is_in = std::any_of(hop.addresses.begin(), hop.addresses.end(),
                                               [&](const IpAddress& address) { return network.contains(address); });
                if (is_in) return ProviderMatch{provider, "address " + network.to_string()};
            }
        }
    }
    return std::nullopt;
}

bool Providers::may_use(const config::Provider& provider, std::string_view host) {
    return provider.match == config::ProviderMatch::Any ||
           std::any_of(provider.mx.begin(), provider.mx.end(),
                       [&](const std::string& wildcard) { return matches_glob(wildcard, host); });
}

}  // namespace postfleet::routing
