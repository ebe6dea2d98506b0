// Endpoint ↔ sockaddr.
#pragma once

#include <sys/socket.h>

#include "postfleet/base/network.hpp"

namespace postfleet::net {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_storage);

    SocketAddress() = default;  // to be filled in by the kernel
    explicit SocketAddress(const Endpoint& endpoint);
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    Endpoint to_endpoint() const;
};

}  // namespace postfleet::net
