// TargetRules: which hosts and addresses mail may go to (hop.hpp). Threads: immutable, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/routing/hop.hpp"

namespace postfleet::routing {

class TargetRules {
public:
    explicit TargetRules(const config::Config& config);
    Admission admit(std::string_view domain, std::vector<Hop> hops, HopsState state) const;
    bool may_connect_to(const IpAddress& address) const;

private:
    bool is_own(const Hop& hop) const;

    std::string own_name_;
    std::vector<IpAddress> own_addresses_;  // where we take mail on port 25
    std::vector<Network> allowed_;
};

}  // namespace postfleet::routing
