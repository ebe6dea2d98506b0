#include "connection_gate.hpp"

#include <arpa/inet.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>
#include <utility>

#include "open_connections.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/v1/control.grpc.pb.h"

using namespace postfleet;
using rpc::ConnectionGate;

namespace {

// A connection without TLS; gRPC greets it with its settings.
class Client {
public:
    explicit Client(int port, const char* from = "127.0.0.1")
        : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        REQUIRE(::inet_pton(AF_INET, from, &address.sin_addr) == 1);
        REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr) == 1);
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    Client(Client&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
    Client& operator=(Client&&) = delete;
    ~Client() {
        if (socket_ >= 0) ::close(socket_);
    }
    // False: it was closed without a word.
    bool is_greeted() const {
        pollfd readable{socket_, POLLIN, 0};
        REQUIRE(::poll(&readable, 1, 60'000) == 1);
        char octet = 0;
        return ::recv(socket_, &octet, 1, 0) == 1;
    }

private:
    int socket_;
};

struct World {
    explicit World(rpc::ConnectionLimits limits, const std::string& address = "127.0.0.1:0")
        : gate(ConnectionGate::open(address, limits, refused).value()) {
        grpc::ServerBuilder builder;
        gate->attach(builder, grpc::InsecureServerCredentials());
        builder.RegisterService(&service);
        server = builder.BuildAndStart();
        REQUIRE(server != nullptr);
        gate->start();
    }
    ~World() {
        gate->stop();
        server->Shutdown();
    }
    // What a client with a library hears of a call that nobody has implemented.
    grpc::StatusCode call(const std::string& address) const {
        const auto stub = v1::FeedbackQuery::NewStub(
            grpc::CreateChannel(address + ":" + std::to_string(gate->port()), grpc::InsecureChannelCredentials()));
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + support::kPatience);
        context.set_wait_for_ready(true);
        v1::AnswerMessage answer;
        return stub->Run(&context, {}, &answer).error_code();
    }

    Counter refused;
    v1::FeedbackQuery::Service service;
    std::unique_ptr<ConnectionGate> gate;
    std::unique_ptr<grpc::Server> server;
};

}  // namespace

TEST_CASE("there are only so many connections, and others come in when one has gone", "[SEC-10]") {
    World world({.all = 2, .per_client = 2});
    std::optional<Client> first(std::in_place, world.gate->port());
    const Client second(world.gate->port());
    REQUIRE(first->is_greeted());
    REQUIRE(second.is_greeted());
    CHECK_FALSE(Client(world.gate->port()).is_greeted());
    CHECK(world.refused.value() == 1);
    first.reset();
    // gRPC closes its side soon; a client with a library comes again by itself.
    CHECK(world.call("127.0.0.1") == grpc::StatusCode::UNIMPLEMENTED);
}

TEST_CASE("a client has its own share of the connections", "[SEC-10]") {
    World world({.all = 10, .per_client = 1});
    const Client first(world.gate->port());
    REQUIRE(first.is_greeted());
    CHECK_FALSE(Client(world.gate->port()).is_greeted());
    CHECK(Client(world.gate->port(), "127.0.0.2").is_greeted());
}

TEST_CASE("a name has all its addresses, and the unspecified one of IPv6 is that of IPv4, too") {
    CHECK(World({.all = 2, .per_client = 2}, "localhost:0").call("127.0.0.1") == grpc::StatusCode::UNIMPLEMENTED);
    CHECK(World({.all = 2, .per_client = 2}, "[::]:0").call("127.0.0.1") == grpc::StatusCode::UNIMPLEMENTED);
}

TEST_CASE("an address that cannot be listened on says so") {
    World world({.all = 2, .per_client = 2});
    Counter refused;
    const auto text = [&](const std::string& address) {
        const auto gate = ConnectionGate::open(address, {}, refused);
        return gate ? "" : gate.error().text;
    };
    const std::string taken = "127.0.0.1:" + std::to_string(world.gate->port());
    CHECK(text(taken) == "cannot listen on " + taken + ": Address already in use; choose another address or port");
    CHECK(text("192.0.2.1:0").starts_with("cannot listen on 192.0.2.1:0: "));
    CHECK(text("7400").find("ADDRESS:PORT") != std::string::npos);
    CHECK(text("127.0.0.1:no").starts_with("cannot listen on 127.0.0.1:no: "));
}

TEST_CASE("a port is free again when its server has stopped") {
    int port = 0;
    {
        World world({.all = 2, .per_client = 2});
        port = world.gate->port();
        const Client client(port);
        REQUIRE(client.is_greeted());
    }
    const World again({.all = 2, .per_client = 2}, "127.0.0.1:" + std::to_string(port));
    CHECK(Client(port).is_greeted());
}

TEST_CASE("a socket counts until its number is closed or another's") {
    rpc::OpenConnections open;
    const auto one = IpAddress::parse("192.0.2.1").value(), other = IpAddress::parse("192.0.2.2").value();
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    open.add(pair[0], one);
    open.add(pair[1], one);
    open.look();
    CHECK(open.of_client(one) == 2);
    ::close(pair[0]);
    open.look();
    CHECK(open.of_client(one) == 1);
    const int reused = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::dup2(reused, pair[1]) == pair[1]);
    open.add(pair[1], other);  // before anybody looked
    CHECK(open.size() == 1);
    CHECK(open.of_client(one) == 0);
    CHECK(open.of_client(other) == 1);
    ::close(reused);
    ::close(pair[1]);
    open.look();
    CHECK(open.size() == 0);
}
