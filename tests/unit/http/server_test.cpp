#include "postfleet/http/server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <optional>
#include <thread>

using namespace postfleet;
using namespace postfleet::http;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

class Client {
public:
    explicit Client(const Endpoint& server) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        const ::timeval limit{10, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(server.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(socket_, reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
    }
    ~Client() { ::close(socket_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(const std::string& text) { CHECK(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) > 0); }

    // Until the other side closes.
    std::string read_all() {
        std::string text;
        char block[4096];
        for (;;) {
            const auto n = ::recv(socket_, block, sizeof block, 0);
            if (n <= 0) return text;
            text.append(block, static_cast<std::size_t>(n));
        }
    }

    // One response with Content-Length.
    std::string read_one() {
        std::string text;
        char c = 0;
        while (text.find("\r\n\r\n") == std::string::npos && ::recv(socket_, &c, 1, 0) == 1) text.push_back(c);
        const auto at = text.find("Content-Length: ");
        std::size_t left = at == std::string::npos ? 0 : std::stoul(text.substr(at + 16));
        while (left-- > 0 && ::recv(socket_, &c, 1, 0) == 1) text.push_back(c);
        return text;
    }

private:
    int socket_;
};

Endpoint any_port() { return *Endpoint::parse("127.0.0.1:0"); }

std::string get(const Server& server, const std::string& path, const std::string& method = "GET") {
    Client client(server.local());
    client.send(method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return client.read_all();
}

void answer_hello(const Request&, Responder answer) { answer({.body = "hello\n"}); }

}  // namespace

TEST_CASE("a route answers its method and path") {
    Server server({.address = any_port()});
    server.route("GET", "/hello", answer_hello);
    REQUIRE(server.start());
    CHECK_THAT(get(server, "/hello"), StartsWith("HTTP/1.1 200 OK\r\n") && Contains("\r\n\r\nhello\n"));
    CHECK_THAT(get(server, "/hello?x=1"), StartsWith("HTTP/1.1 200"));
    CHECK_THAT(get(server, "/other"), StartsWith("HTTP/1.1 404") && Contains("application/problem+json"));
    CHECK_THAT(get(server, "/hello", "DELETE"), StartsWith("HTTP/1.1 405") && Contains("Allow: GET\r\n"));
}

TEST_CASE("HEAD gives the head of GET without its body") {
    Server server({.address = any_port()});
    server.route("GET", "/hello", answer_hello);
    REQUIRE(server.start());
    const std::string answer = get(server, "/hello", "HEAD");
    CHECK_THAT(answer, Contains("Content-Length: 6\r\n"));
    CHECK_THAT(answer, !Contains("hello"));
}

TEST_CASE("the longest prefix decides, and the handler sees the whole request") {
    Server server({.address = any_port()});
    server.route("POST", "/v1/", [](const Request&, Responder answer) { answer(problem(500, "wrong route", "")); });
    server.route("POST", "/v1/queues/", [](const Request& request, Responder answer) {
        answer({.status = 202, .body = request.path + "|" + request.query + "|" + request.body});
    });
    REQUIRE(server.start());
    Client client(server.local());
    client.send("POST /v1/queues/a%2Fb?x=y HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    CHECK_THAT(client.read_all(), StartsWith("HTTP/1.1 202") && Contains("/v1/queues/a%2Fb|x=y|body"));
}

TEST_CASE("a connection serves many requests, pipelined ones too") {
    Server server({.address = any_port()});
    server.route("GET", "/hello", answer_hello);
    REQUIRE(server.start());
    Client client(server.local());
    const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(request + request + request);
    for (int i = 0; i < 3; ++i) CHECK_THAT(client.read_one(), Contains("hello"));
    client.send(request);
    CHECK_THAT(client.read_one(), Contains("hello"));
}

TEST_CASE("an answer may come later and from another thread") {
    Server server({.address = any_port()});
    std::thread worker;
    server.route("GET", "/later", [&](const Request&, Responder answer) {
        worker = std::thread([answer = std::move(answer)]() mutable { answer({.body = "later"}); });
    });
    REQUIRE(server.start());
    CHECK_THAT(get(server, "/later"), Contains("later"));
    worker.join();
}

TEST_CASE("a handler that does not answer in time gives 503, and its late answer goes nowhere") {
    Server server({.address = any_port(), .handler_timeout = 20ms});
    std::mutex mutex;
    std::optional<Responder> kept;
    server.route("GET", "/slow", [&](const Request&, Responder answer) {
        std::lock_guard lock(mutex);
        kept.emplace(std::move(answer));
    });
    server.route("GET", "/hello", answer_hello);
    REQUIRE(server.start());
    Client client(server.local());
    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_THAT(client.read_one(), StartsWith("HTTP/1.1 503"));
    {
        std::lock_guard lock(mutex);
        (*kept)({.body = "too late"});
    }
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_THAT(client.read_one(), Contains("hello"));
}

TEST_CASE("a request that is dropped without an answer gives 500") {
    Server server({.address = any_port()});
    server.route("GET", "/dropped", [](const Request&, Responder) {});
    REQUIRE(server.start());
    CHECK_THAT(get(server, "/dropped"), StartsWith("HTTP/1.1 500"));
}

TEST_CASE("wrong and oversized requests are refused with the reason") {
    Server server({.address = any_port(), .max_head_octets = 1024, .max_body_octets = 100});
    server.route("POST", "/", answer_hello);
    REQUIRE(server.start());
    Client garbage(server.local());
    garbage.send("this is not HTTP\r\n\r\n");
    CHECK_THAT(garbage.read_all(), StartsWith("HTTP/1.1 400"));
    Client head(server.local());
    head.send("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(2000, 'x') + "\r\n\r\n");
    CHECK_THAT(head.read_all(), StartsWith("HTTP/1.1 431"));
    Client body(server.local());
    body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n");
    CHECK_THAT(body.read_all(), StartsWith("HTTP/1.1 413"));
}

TEST_CASE("a client that stalls in the middle of a request is cut off") {
    Server server({.address = any_port(), .request_timeout = 30ms});
    REQUIRE(server.start());
    Client client(server.local());
    client.send("GET / HT");
    CHECK(client.read_all().empty());
}

TEST_CASE("connections above the limit are told so") {
    Server server({.address = any_port(), .max_connections = 1});
    server.route("GET", "/hello", answer_hello);
    REQUIRE(server.start());
    Client first(server.local());
    first.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_THAT(first.read_one(), Contains("hello"));
    Client second(server.local());
    CHECK_THAT(second.read_all(), StartsWith("HTTP/1.1 503"));
}

TEST_CASE("an occupied address is an error that names it") {
    Server first({.address = any_port()});
    REQUIRE(first.start());
    Server second({.address = first.local()});
    const Status started = second.start();
    REQUIRE_FALSE(started);
    CHECK(started.error().kind == ErrorKind::AlreadyExists);
    CHECK_THAT(started.error().text, Contains(first.local().to_string()));
}

TEST_CASE("stopping closes open connections") {
    Server server({.address = any_port()});
    server.route("GET", "/hello", answer_hello);
    REQUIRE(server.start());
    Client client(server.local());
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_THAT(client.read_one(), Contains("hello"));
    server.stop();
    CHECK(client.read_all().empty());
}
