#include "socket_address.hpp"

#include <netinet/in.h>

#include <cstring>

namespace postfleet::net {

SocketAddress::SocketAddress(const Endpoint& endpoint) {
    if (endpoint.address.v6) {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(endpoint.port);
        std::memcpy(&address.sin6_addr, endpoint.address.octets.data(), 16);
        std::memcpy(&storage, &address, sizeof address);
        length = sizeof address;
    } else {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(endpoint.port);
        std::memcpy(&address.sin_addr, endpoint.address.octets.data(), 4);
        std::memcpy(&storage, &address, sizeof address);
        length = sizeof address;
    }
}

Endpoint SocketAddress::to_endpoint() const {
    Endpoint endpoint;
    if (storage.ss_family == AF_INET6) {
        sockaddr_in6 address;
        std::memcpy(&address, &storage, sizeof address);
        std::array<std::uint8_t, 16> octets;
        std::memcpy(octets.data(), &address.sin6_addr, 16);
        endpoint.address = IpAddress::from_v6(octets);
        endpoint.port = ntohs(address.sin6_port);
    } else if (storage.ss_family == AF_INET) {
        sockaddr_in address;
        std::memcpy(&address, &storage, sizeof address);
        std::memcpy(endpoint.address.octets.data(), &address.sin_addr, 4);
        endpoint.port = ntohs(address.sin_port);
    }
    return endpoint;
}

}  // namespace postfleet::net
