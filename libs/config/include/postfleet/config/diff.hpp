// diff: what a reload changes, value by value, defaults included.
//
// Elements of lists are told apart by what they say (a shaping rule by its match, a report by its name, a
// binding by all of it), so that putting one in front does not change all behind it. Values that come from
// the environment are shown as their reference. Threads: pure.
#pragma once

#include <string>
#include <vector>

#include "postfleet/config/config.hpp"

namespace postfleet::config {

struct Change {
    enum class Kind { Changed, Added, Removed, Reordered };
    Kind kind = Kind::Changed;
    std::string path;            // "virtual_mtas.tx-1.source", "shaping[site: google].max_connections"
    std::string before, after;   // as in YAML; of something added or removed, all that was set in it
    Origin origin;               // where the new value stands (of something removed, the old one); may be unknown
    bool needs_restart = false;  // takes effect only then
    // "virtual_mtas.tx-1.source: 192.0.2.10 → 192.0.2.11 (mta.yaml:12)"
    std::string to_string() const;
    friend bool operator==(const Change&, const Change&) = default;
};

std::vector<Change> diff(const Config& before, const Config& now);

}  // namespace postfleet::config
