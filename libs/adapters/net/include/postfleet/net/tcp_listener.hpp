// TcpListener: one listening socket that any number of loops accept from.
//
// The kernel offers a new connection to a loop that is waiting (EPOLLEXCLUSIVE), so busy shards take fewer.
// A loop that has clearly more accepted streams than the least loaded one hands the connection over. When
// the process is out of descriptors, the connection is told so (ListenRequest::refusal), closed and
// counted, and accepting goes on; it never spins.
//
// start() once; stop() takes the socket out of every loop and frees the port when the last one has let go;
// on_accepted is not called any more once stop() has taken effect on a loop. Streams live on.
// The handler outlives the loops' running; loops outlive the listener.
//
// Threads: open, start, stop and the counters from any one thread; on_accepted runs on the loop that gets
// the stream, so on several at once. Never blocks. Errors: open(), with what to do about it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/net/epoll_loop.hpp"

namespace postfleet::net {

struct ListenRequest {
    std::string name;  // for error texts: "listeners.relay.address"
    Endpoint address;  // port 0: any free one, see TcpListener::local()
    int backlog = 4096;
    // Sent, as far as it goes, to a connection that finds no descriptor left.
    std::string refusal = "421 4.3.2 too many connections, try again later\r\n";
};

class AcceptHandler {
public:
    // Must give the stream a handler. The stream belongs to `loop`, whose thread this is.
    virtual void on_accepted(EpollLoop& loop, std::unique_ptr<Stream> stream) = 0;
    // A connection found no descriptor left, was told so and closed.
    virtual void on_refused(EpollLoop&) {}

protected:
    ~AcceptHandler() = default;
};

class TcpListener final {
public:
    static Result<std::unique_ptr<TcpListener>> open(const ListenRequest& request);
    ~TcpListener();
    TcpListener(const TcpListener&) = delete;
    TcpListener& operator=(const TcpListener&) = delete;

    void start(std::span<EpollLoop* const> loops, AcceptHandler& handler);
    void stop();
    Endpoint local() const;

    struct Statistics {
        std::uint64_t accepted = 0;
        std::uint64_t handed_over = 0;  // of these, given to a less loaded loop
        std::uint64_t refused = 0;      // no descriptor left
    };
    Statistics statistics() const;

private:
    struct Shared;
    class Gate;
    explicit TcpListener(std::shared_ptr<Shared> shared);

    // Shared with the gates, which leave the loops on their own threads.
    std::shared_ptr<Shared> shared_;
    std::vector<std::shared_ptr<Gate>> gates_;
};

}  // namespace postfleet::net
