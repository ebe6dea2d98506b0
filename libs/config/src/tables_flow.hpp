// The keys of FlowLimits, for every section that has them.
#pragma once

#include <utility>

#include "tables.hpp"

namespace postfleet::config {

// The section with those keys behind its own. `access`: from its owner to the FlowLimits.
template <class Owner, class Access>
Section with_flow_limits(Section section, Access access) {
    section.keys.push_back(value_key<Owner>(
        "max_connections", [access](auto& o) -> auto& { return access(o).max_connections; }, count_or_unlimited(),
        "Connections open at the same time. One counts until its close completes."));
    section.keys.push_back(value_key<Owner>(
        "max_message_rate", [access](auto& o) -> auto& { return access(o).max_message_rate; }, RateCodec{},
        "Attempted recipients per period."));
    section.keys.push_back(value_key<Owner>(
        "max_connect_rate", [access](auto& o) -> auto& { return access(o).max_connect_rate; }, RateCodec{},
        "Connection attempts per period."));
    section.keys.push_back(value_key<Owner>(
        "max_data_rate", [access](auto& o) -> auto& { return access(o).max_data_rate; }, DataRateCodec{},
        "Octets of messages per period."));
    return section;
}

template <class Owner>
Section with_flow_limits(Section section) {
    return with_flow_limits<Owner>(
        std::move(section), [](auto& o) -> auto& { return o.limits; });
}

}  // namespace postfleet::config
