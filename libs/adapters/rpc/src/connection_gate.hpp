// ConnectionGate: accepts the connections of a gRPC server, because gRPC 1.51 takes as many as come.
//
//   open() binds ─▶ attach() to the builder, which builds the server ─▶ start() ─▶ connections are accepted, counted and
//   given to the server, with its credentials ─▶ stop(), before the server shuts down
//
// A connection that is one too many is closed before anything of it is read; its client tries again later, as after
// every lost connection. gRPC owns what it was given and tells nobody when it closes it: so a connection counts for as
// long as its descriptor is still the same socket, which is looked at when there is no room, at most every kLookAgain.
//
// Threads: open, attach, start and stop from one thread; accepting has a thread of its own, which waits in poll().
// Errors: open(): the address is none, or cannot be listened on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "postfleet/base/metrics.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace grpc {
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

namespace postfleet::rpc {

struct ConnectionLimits {
    std::uint32_t all = 0;
    std::uint32_t per_client = 0;  // an IPv4 address, or the /64 of an IPv6 address
};

class ConnectionGate final {
public:
    static constexpr Duration kLookAgain = std::chrono::milliseconds(20);

    // "192.0.2.1:25", "[::]:25" (IPv4, too), "localhost:25" (all its addresses); port 0: any. `refused` counts.
    static Result<std::unique_ptr<ConnectionGate>> open(const std::string& address, ConnectionLimits limits,
                                                        Counter& refused);
    ~ConnectionGate();
    ConnectionGate(const ConnectionGate&) = delete;
    ConnectionGate& operator=(const ConnectionGate&) = delete;

    int port() const;
    // And bounds what a peer may cost before its calls are known: handshakes, metadata; nothing compressed is taken.
    void attach(grpc::ServerBuilder& builder, std::shared_ptr<grpc::ServerCredentials> credentials);
    void start();
    void stop();

private:
    class Impl;
    explicit ConnectionGate(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postfleet::rpc
