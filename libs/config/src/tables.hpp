// Sections that stand in files of their own, and what their tables share. Built once, immutable, thread-safe.
#pragma once

#include "schema.hpp"

namespace postfleet::config {

const Section& listener_section();          // listeners.<name>
const Section& tenant_section();            // tenants.<name>
const Section& user_section();              // users.<name>
const Section& pickup_section();            // pickups.<name>
const Section& submission_queue_section();  // submission_queues.<name>
const Section& grpc_listener_section();     // grpc_listeners.<name>
const Section& intake_section();            // intake
const Section& limits_section();            // limits
const Section& outbound_section();          // outbound
const Section& virtual_mta_section();       // virtual_mtas.<name>
const Section& pool_section();              // pools.<name>
const Section& binding_section();           // bindings[]
const Section& provider_section();          // providers.<name>
Key routes_key();                           // routes
const Section& shaping_section();           // shaping[]
const Section& reply_pattern_section();     // reply_patterns[]
const Section& bounce_category_section();   // bounce_categories[]
const Section& dkim_section();              // dkim[]
const Section& report_section();            // reports[]
const Section& dsn_section();               // dsn

inline const KeyOptions kRequired{.required = true};
inline const KeyOptions kRestart{.needs_restart = true};

inline CountCodec count(std::uint32_t lowest = 1, std::uint32_t highest = 1'000'000) {
    return {lowest, highest, false, {}};
}
inline CountCodec count_or_unlimited() { return {1, 10'000'000, true, "to stop a queue use `postfleet pause`"}; }

}  // namespace postfleet::config
