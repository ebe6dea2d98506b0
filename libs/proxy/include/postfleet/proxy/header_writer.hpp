// write_header: the header of the PROXY protocol, versions 1 and 2, that we put in front of a connection through an
// egress proxy (HAProxy, doc/proxy-protocol.txt). It says which address to send from and where to: the proxy connects
// to `target` from `source` (HAProxy: `source 0.0.0.0 usesrc clientip`, `server … 0.0.0.0`).
//
// The proxy answers nothing: whether it could bind and connect shows only when the other side speaks, or does not.
// Both ends are of one family. Threads: a pure function.
#pragma once

#include <cstdint>
#include <string>

#include "postfleet/base/network.hpp"

namespace postfleet::proxy {

enum class HeaderVersion : std::uint8_t { Text = 1, Binary = 2 };

std::string write_header(HeaderVersion version, const Endpoint& source, const Endpoint& target);

}  // namespace postfleet::proxy
