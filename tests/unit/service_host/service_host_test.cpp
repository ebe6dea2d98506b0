#include "postfleet/service_host/service_host.hpp"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using service_host::Drained;
using service_host::ServiceHost;

namespace {

// What the endpoint answers, head and body.
std::string get(const ServiceHost& host, const std::string& path) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(host.http()->local().port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket, reinterpret_cast<const ::sockaddr*>(&name), sizeof name) == 0);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    REQUIRE(::send(socket, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(socket, buffer, sizeof buffer, 0)) > 0;) {
        answer.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(socket);
    return answer;
}

struct Hosted {
    support::TemporaryDirectory directory;
    std::unique_ptr<ServiceHost> host = ServiceHost::create().value();
    Hosted() {
        REQUIRE(host->open_log({.path = directory.file("log")}).has_value());
        REQUIRE(host->make_shards(1).has_value());
    }
    void open() { REQUIRE(host->open_admin(Endpoint::parse("127.0.0.1:0").value()).has_value()); }
};

}  // namespace

TEST_CASE("a process is alive from the start, and ready when it runs and nothing speaks against it") {
    Hosted hosted;
    std::string reason = "the broker is away";
    hosted.host->add_readiness_check("broker", [&] { return reason; });
    hosted.open();
    CHECK(get(*hosted.host, "/healthz/live").find("200 OK") != std::string::npos);
    CHECK(get(*hosted.host, "/healthz/ready").find("starting") != std::string::npos);
    CHECK(get(*hosted.host, "/metrics").find("postfleet_ready 0") != std::string::npos);
    hosted.host->start_shards();
    hosted.host->report_running();
    CHECK(get(*hosted.host, "/healthz/ready").find("the broker is away") != std::string::npos);
    reason.clear();
    CHECK(get(*hosted.host, "/healthz/ready").find("200 OK") != std::string::npos);
    CHECK(get(*hosted.host, "/metrics").find("postfleet_ready 1") != std::string::npos);
}

TEST_CASE("a process that is told to stop is not ready, and waits for what drains") {
    Hosted hosted;
    hosted.open();
    hosted.host->start_shards();
    hosted.host->report_running();
    hosted.host->main_loop().request_stop();
    hosted.host->run({});
    CHECK(hosted.host->is_stopping());
    CHECK(get(*hosted.host, "/healthz/ready").find("stopping") != std::string::npos);
    const SteadyTime deadline = steady_clock_now() + std::chrono::seconds(60);
    CHECK(hosted.host->await_drain(deadline, [](Completion<Status> done) {
        Executor& on = *done.on;
        on.post([done = std::move(done)]() mutable { done.run(Status()); });
    }) == Drained::Quiet);
    CHECK(hosted.host->await_drain(steady_clock_now() - std::chrono::hours(1), [](Completion<Status>) {}) ==
          Drained::TimedOut);
}
