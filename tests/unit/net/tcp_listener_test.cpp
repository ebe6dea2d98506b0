#include "postfleet/net/tcp_listener.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "postfleet/net/loop_group.hpp"
#include "support.hpp"

namespace postfleet::net {
namespace {

// Accepts on several loops; every stream echoes until it is closed.
class EchoServer final : public AcceptHandler {
public:
    void on_accepted(EpollLoop& loop, std::unique_ptr<Stream> stream) override {
        auto* session = new Session{std::move(stream)};
        session->stream->set_handler(*session);
        session->stream->write("hello\r\n");
        ++per_shard[loop.shard()];
    }
    std::array<std::atomic<int>, 4> per_shard{};

private:
    struct Session final : StreamHandler {
        explicit Session(std::unique_ptr<Stream> s) : stream(std::move(s)) {}
        std::unique_ptr<Stream> stream;
        void on_data(std::string_view octets) override { stream->write(octets); }
        void on_closed(const CloseReason&) override { delete this; }
    };
};

std::unique_ptr<TcpListener> open_listener(Endpoint address = loopback()) {
    auto listener = TcpListener::open({.name = "listeners.relay.address", .address = address});
    REQUIRE(listener);
    return std::move(*listener);
}

TEST_CASE("an occupied port is an error that says where and what to do") {
    const auto first = open_listener();
    const auto second = TcpListener::open({.name = "listeners.relay.address", .address = first->local()});
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == ErrorKind::AlreadyExists);
    CHECK(second.error().text.find("listeners.relay.address " + first->local().to_string() +
                                   ": address in use by another process; ") == 0);
}

TEST_CASE("an address of another machine is an error that says so") {
    Endpoint foreign = loopback();
    foreign.address.octets = {192, 0, 2, 1};
    const auto listener = TcpListener::open({.name = "http.address", .address = foreign});
    REQUIRE_FALSE(listener);
    CHECK(listener.error().text.find("http.address 192.0.2.1:0: not an address of this machine") == 0);
}

TEST_CASE("a port is free again when the listener has stopped") {
    auto loop = make_loop();
    Acceptor acceptor;
    auto listener = open_listener();
    const Endpoint address = listener->local();
    EpollLoop* const loops[] = {loop.get()};
    listener->start(loops, acceptor);
    loop->run_turn(Duration::zero());
    listener.reset();
    loop->run_turn(Duration::zero());
    open_listener(address);
}

TEST_CASE("two thousand connections are spread over the loops, whoever was idle first") {
    auto group = LoopGroup::create(4);
    REQUIRE(group);
    LoopGroup& loops = **group;
    EchoServer echo;
    auto listener = open_listener();
    listener->start(loops.loops(), echo);
    loops.start();

    auto client_loop = make_loop();
    std::vector<std::unique_ptr<Peer>> clients;
    const auto all_greeted = [&] {
        return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->received == "hello\r\n"; });
    };
    for (int batch = 0; batch < 20; ++batch) {
        for (int i = 0; i < 100; ++i) {
            clients.push_back(std::make_unique<Peer>());
            clients.back()->connect(*client_loop, listener->local());
        }
        run_until(*client_loop, all_greeted);
    }
    int total = 0;
    for (EpollLoop* loop : loops.loops()) {
        INFO("shard " << loop->shard() << " has " << loop->inbound_streams());
        CHECK(loop->inbound_streams() > 400);
        CHECK(loop->inbound_streams() < 600);
        CHECK(loop->inbound_streams() == echo.per_shard[loop->shard()]);
        total += loop->inbound_streams();
    }
    CHECK(total == 2000);
    CHECK(listener->statistics().accepted == 2000);
    CHECK(listener->statistics().refused == 0);

    for (auto& client : clients) client->stream->write("x");
    run_until(*client_loop, [&] {
        return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->received == "hello\r\nx"; });
    });
    clients.clear();
    // The servers' sides go when they see it; each says so on its own loop.
    const SteadyTime limit = steady_clock_now() + std::chrono::seconds(10);
    const auto open_streams = [&] {
        int sum = 0;
        for (EpollLoop* loop : loops.loops()) sum += loop->inbound_streams();
        return sum;
    };
    while (open_streams() > 0 && steady_clock_now() < limit) std::this_thread::yield();
    CHECK(open_streams() == 0);
    listener.reset();
    loops.stop();
    loops.join();
}

TEST_CASE("a stopped listener takes nothing more, and its streams live on") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    server.listener->stop();
    Peer late;
    late.connect(*server.loop, server.address());
    for (int i = 0; i < 5; ++i) server.loop->run_turn(std::chrono::milliseconds(1));
    CHECK(server.acceptor.peers.size() == 1);
    near->stream->write("still here");
    run_until(*server.loop, [&, far = far] { return far->received == "still here"; });
}

// Lowers the limit of open files to what is open now plus a few, and restores it.
class DescriptorLimit {
public:
    explicit DescriptorLimit(rlim_t spare) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::close(next);
        rlimit limit = before_;
        limit.rlim_cur = static_cast<rlim_t>(next) + spare;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

// A blocking client that keeps its descriptor whatever happens to the connection.
UniqueFd connect_plainly(const Endpoint& to) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
}

TEST_CASE("without descriptors a connection is refused with a reply, counted, and the loop does not spin") {
    Server server;
    std::vector<UniqueFd> clients;  // they wait in the backlog
    for (int i = 0; i < 20; ++i) clients.push_back(connect_plainly(server.address()));
    std::vector<std::string> replies;
    std::uint64_t turns = 0;
    {
        // No assertion in here: the undefined-behaviour sanitizer needs descriptors of its own.
        const DescriptorLimit limit(5);
        const SteadyTime give_up = steady_clock_now() + std::chrono::seconds(10);
        while (server.listener->statistics().refused < 15 && steady_clock_now() < give_up) {
            server.loop->run_turn(std::chrono::milliseconds(20));
        }
        for (std::size_t i = 5; i < clients.size(); ++i) {
            std::array<char, 64> reply;
            const ssize_t got = ::recv(clients[i].get(), reply.data(), reply.size(), 0);
            replies.emplace_back(reply.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        }
        // Nothing waits, so the loop sleeps.
        turns = server.loop->statistics().turns;
        bool is_later = false;
        server.loop->schedule_at(steady_clock_now() + std::chrono::milliseconds(30), [&] { is_later = true; });
        while (!is_later) server.loop->run_turn(Duration::max());
        turns = server.loop->statistics().turns - turns;
    }
    CHECK(server.acceptor.peers.size() == 5);
    CHECK(server.listener->statistics().refused == 15);
    CHECK(turns < 10);
    for (const std::string& reply : replies) CHECK(reply.substr(0, 9) == "421 4.3.2");
    Peer after;
    after.connect(*server.loop, server.address());
    run_until(*server.loop, [&] { return server.acceptor.peers.size() == 6; });
}

}  // namespace
}  // namespace postfleet::net
