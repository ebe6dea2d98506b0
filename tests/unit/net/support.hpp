// What the tests of net share: handlers that record, and turning a loop by hand until something holds.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/net/tcp_listener.hpp"

namespace postfleet::net {

inline Endpoint loopback(std::uint16_t port = 0) {
    Endpoint endpoint;
    endpoint.address.octets = {127, 0, 0, 1};
    endpoint.port = port;
    return endpoint;
}

inline std::unique_ptr<EpollLoop> make_loop(unsigned shard = 0) {
    auto loop = EpollLoop::create(shard);
    REQUIRE(loop);
    return std::move(*loop);
}

// Turns the loop until the condition holds; fails the test after ten seconds.
inline void run_until(EpollLoop& loop, const std::function<bool()>& holds) {
    const SteadyTime limit = steady_clock_now() + std::chrono::seconds(10);
    while (!holds()) {
        REQUIRE(steady_clock_now() < limit);
        loop.run_turn(std::chrono::milliseconds(20));
    }
}

// Records what happens; hooks let a test act from inside the callbacks.
struct Peer final : StreamHandler {
    std::unique_ptr<Stream> stream;
    std::string received;
    bool is_connected = false;
    int writable = 0;
    std::optional<CloseReason> closed;
    int ended = 0, deadlines = 0;
    std::function<bool(Peer&)> when_ended, when_deadline;  // what they say is the answer
    std::function<void(Peer&)> when_connected, when_data, when_writable, when_closed;

    void on_connected() override {
        is_connected = true;
        call(when_connected);
    }
    void on_data(std::string_view octets) override {
        received += octets;
        call(when_data);
    }
    void on_writable() override {
        ++writable;
        call(when_writable);
    }
    bool on_end() override {
        ++ended;
        return when_ended && when_ended(*this);
    }
    bool on_deadline() override {
        ++deadlines;
        return when_deadline && when_deadline(*this);
    }
    void on_closed(const CloseReason& reason) override {
        closed = reason;
        call(when_closed);
    }

    // A copy, because the hook may replace itself.
    void call(std::function<void(Peer&)> hook) {
        if (hook) hook(*this);
    }
    void connect(EpollLoop& loop, Endpoint to) { stream = loop.connect({.peer = to}, *this); }
};

struct Acceptor final : AcceptHandler {
    std::vector<std::unique_ptr<Peer>> peers;
    std::function<void(Peer&)> when_accepted;

    void on_accepted(EpollLoop&, std::unique_ptr<Stream> stream) override {
        peers.push_back(std::make_unique<Peer>());
        peers.back()->stream = std::move(stream);
        peers.back()->stream->set_handler(*peers.back());
        if (when_accepted) when_accepted(*peers.back());
    }
};

// One loop with a listener on it.
struct Server {
    std::unique_ptr<EpollLoop> loop = make_loop();
    Acceptor acceptor;
    std::unique_ptr<TcpListener> listener;

    Server() {
        auto opened = TcpListener::open({.name = "test", .address = loopback()});
        REQUIRE(opened);
        listener = std::move(*opened);
        EpollLoop* const loops[] = {loop.get()};
        listener->start(loops, acceptor);
    }
    Endpoint address() const { return listener->local(); }
    // A connected pair; the second is the server's side.
    std::pair<Peer*, Peer*> connect(Peer& client) {
        const std::size_t before = acceptor.peers.size();
        client.connect(*loop, address());
        run_until(*loop, [&] { return client.is_connected && acceptor.peers.size() > before; });
        return {&client, acceptor.peers.back().get()};
    }
};

}  // namespace postfleet::net
