// The HTTPS client against sockets that do not answer as they should. What needs certificates: tests/e2e/mta_sts_test.py.
#include "postfleet/curl/client.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <optional>

#include "postfleet/support/manual_executor.hpp"

using namespace postfleet;
using namespace std::chrono_literals;
using Answer = Result<HttpResponse>;

namespace {

// A socket that listens on 127.0.0.1, and whose connections nobody takes.
class Listener {
public:
    Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(socket_, 10) == 0);
        socklen_t size = sizeof address;
        REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port = ntohs(address.sin_port);
    }
    ~Listener() { stop(); }
    void stop() {
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
    }
    // What the next connection says first, and nothing after it.
    void answer_with(std::string_view text) {
        const int connection = ::accept(socket_, nullptr, nullptr);
        REQUIRE(connection >= 0);
        char hello[16];
        CHECK(::recv(connection, hello, sizeof hello, 0) > 0);
        CHECK(::send(connection, text.data(), text.size(), MSG_NOSIGNAL) > 0);
        ::close(connection);
    }
    std::uint16_t port = 0;

private:
    int socket_;
};

struct Fixture {
    std::optional<Answer> got;
    void send(HttpRequest request) {
        client->send(std::move(request), {&executor, [this](Answer answer) { got.emplace(std::move(answer)); }});
        CHECK_FALSE(got);  // never inside the call
    }
    Answer wait() {
        REQUIRE(executor.run_until([&] { return got.has_value(); }, 30s));
        return std::move(*got);
    }
    HttpRequest to(std::uint16_t port, Duration timeout = 20s) {
        HttpRequest request;
        request.host = "mta-sts.x.test";
        request.port = port;
        request.addresses = {*IpAddress::parse("127.0.0.1")};
        request.timeout = timeout;
        return request;
    }
    support::ManualExecutor executor;
    std::unique_ptr<curl::Client> client = std::make_unique<curl::Client>();
};

}  // namespace

TEST_CASE("nobody listens: the request fails, and says where") {
    Fixture w;
    Listener listener;
    listener.stop();
    w.send(w.to(listener.port));
    const Answer answer = w.wait();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::Unavailable);
    CHECK(answer.error().text.find("https://mta-sts.x.test") == 0);
}

TEST_CASE("a server that never answers costs its timeout and no more", "[SEC-16]") {
    Fixture w;
    Listener listener;
    w.send(w.to(listener.port, 200ms));
    const Answer answer = w.wait();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::DeadlineExceeded);
}

TEST_CASE("what answers in clear is no HTTPS server", "[SEC-16]") {
    Fixture w;
    Listener listener;
    w.send(w.to(listener.port));
    listener.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    CHECK_FALSE(w.wait());
}

TEST_CASE("no address but those of the request is connected to, whatever the name resolves to", "[SEC-16]") {
    Fixture w;
    Listener listener;
    HttpRequest request = w.to(listener.port, 5s);
    request.host = "localhost";  // the system would know it
    request.addresses.clear();
    w.send(std::move(request));
    const Answer answer = w.wait();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind != ErrorKind::DeadlineExceeded);
}

TEST_CASE("what is under way when the client goes is answered") {
    Fixture w;
    Listener listener;
    for (int i = 0; i < 3; ++i) w.send(w.to(listener.port));
    w.client.reset();
    const Answer answer = w.wait();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::Cancelled);
}
