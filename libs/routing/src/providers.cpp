#include "providers.hpp"

#include <algorithm>

namespace postfleet::routing {

// After a mismatch only the last "*" is tried again, one octet further: never more than |wildcard| × |text| steps.
bool matches_wildcard(std::string_view wildcard, std::string_view text) {
    std::size_t w = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (w < wildcard.size() && wildcard[w] == '*') {
            star = w++;
            resume = t;
        } else if (w < wildcard.size() && (wildcard[w] == '?' || wildcard[w] == text[t])) {
            ++w;
            ++t;
        } else if (star != std::string_view::npos) {
            w = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    return wildcard.find_first_not_of('*', w) == std::string_view::npos;
}

Providers::Providers(const std::map<std::string, config::Provider>& providers) {
    for (const auto& [name, provider] : providers) {
        for (const auto& wildcard : provider.mx) wildcards_.push_back({wildcard, name});
    }
    std::stable_sort(wildcards_.begin(), wildcards_.end(),
                     [](const Wildcard& a, const Wildcard& b) { return a.text.size() > b.text.size(); });
}

std::string_view Providers::find(std::string_view host) const {
    const auto found = std::find_if(wildcards_.begin(), wildcards_.end(),
                                    [&](const Wildcard& wildcard) { return matches_wildcard(wildcard.text, host); });
    return found == wildcards_.end() ? std::string_view{} : found->provider;
}

}  // namespace postfleet::routing
