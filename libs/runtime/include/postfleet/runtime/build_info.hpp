// BuildInfo: which program this is. Immutable.
#pragma once

#include <string>

namespace postfleet::runtime {

struct BuildInfo {
    const char* version;            // "0.1.0"
    const char* commit;             // "a95cf0a1b2c3"; empty outside a git tree
    const char* build_type;         // "RelWithDebInfo"
    const char* compiler;           // "GNU 12.2.0"
    std::string to_string() const;  // "Postfleet 0.1.0 (a95cf0a1b2c3, RelWithDebInfo, GNU 12.2.0)"
};

const BuildInfo& build_info();

}  // namespace postfleet::runtime
