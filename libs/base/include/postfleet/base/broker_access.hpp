// BrokerUrl, BrokerAccess: where a message broker is and how one gets in; parsed once, handed to the client.
//
//   amqp://user:password@host:port,host2:port2/virtual-host       amqps:// with TLS (RabbitMQ's URI specification)
//
// What stands there escaped as %2F is decoded; IPv6 addresses stand in brackets. Without a user it is guest:guest,
// which RabbitMQ lets in from its own machine only. Without a virtual host it is "/".
// to_string() never has the password. Threads: value types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"

namespace postfleet {

struct BrokerHost {
    std::string name;  // a name or an address, without brackets
    std::uint16_t port = 5672;
    std::string to_string() const;
    friend bool operator==(const BrokerHost&, const BrokerHost&) = default;
};

struct BrokerUrl {
    static constexpr std::size_t kMaxHosts = 16;

    bool tls = false;
    std::vector<BrokerHost> hosts;  // none: not given
    std::string user = "guest", password = "guest";
    std::string virtual_host = "/";

    static Result<BrokerUrl> parse(std::string_view text);
    std::string to_string() const;  // "amqp://user:***@host:5672/orders"
    friend bool operator==(const BrokerUrl&, const BrokerUrl&) = default;
};

struct BrokerAccess {
    BrokerUrl url;
    // Files are read at every connection, so that what they hold can be replaced. Empty: not given.
    std::string password_file;             // instead of the password in the URL
    std::string ca_file;                   // PEM; empty: the system's
    std::string certificate, private_key;  // PEM; of ours
    friend bool operator==(const BrokerAccess&, const BrokerAccess&) = default;
};

}  // namespace postfleet
