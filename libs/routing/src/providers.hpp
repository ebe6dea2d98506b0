// Providers: which provider a host belongs to, by wildcards ("*" any octets, "?" one). The longest fitting
// wildcard decides. Threads: immutable, thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/config/config.hpp"

namespace postfleet::routing {

class Providers {
public:
    explicit Providers(const std::map<std::string, config::Provider>& providers);
    std::string_view find(std::string_view host) const;  // empty: none

private:
    struct Wildcard {
        std::string text;
        std::string provider;
    };
    std::vector<Wildcard> wildcards_;  // longest first
};

bool matches_wildcard(std::string_view wildcard, std::string_view text);

}  // namespace postfleet::routing
