// IpAddress, Endpoint, Network: addresses as values, parsed once. IPv4 and IPv6.
//
// An IPv4 address mapped into IPv6 (::ffff:a.b.c.d) is the IPv4 address. Threads: value types.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

namespace postfleet {

struct IpAddress {
    bool v6 = false;
    std::array<std::uint8_t, 16> octets{};  // IPv4 uses the first four

    static Result<IpAddress> parse(std::string_view text);
    static IpAddress from_v6(const std::array<std::uint8_t, 16>& octets);
    std::string to_string() const;
    // The address as an SMTP domain literal (RFC 5321 §4.1.3): "[192.0.2.1]", "[IPv6:2001:db8::1]".
    std::string to_literal() const;
    bool is_loopback() const;
    bool is_unspecified() const;
    // Private, link-local, reserved, documentation or otherwise not reachable over the public Internet.
    bool is_reserved() const;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

struct Endpoint {
    IpAddress address;
    std::uint16_t port = 0;

    // "192.0.2.1:25", "[2001:db8::1]:25".
    static Result<Endpoint> parse(std::string_view text);
    std::string to_string() const;
    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

struct Network {
    IpAddress base;
    std::uint8_t prefix_bits = 0;

    // "10.0.0.0/8", "2001:db8::/32"; a plain address is a network of one.
    static Result<Network> parse(std::string_view text);
    // The network of that size which the address is in; 32 and 128 bits are the most.
    static Network around(const IpAddress& address, std::uint8_t prefix_bits);
    bool contains(const IpAddress& address) const;
    std::string to_string() const;
    friend bool operator==(const Network&, const Network&) = default;
};

}  // namespace postfleet
