#include "postfleet/runtime/control.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <thread>

#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using namespace postfleet::runtime;
using Catch::Matchers::Contains;

namespace {

Result<std::string> echo(const ControlRequest& request) {
    if (request.command == "fail") return Error{ErrorKind::NotFound, "no queue \"" + request.argument("queue") + "\""};
    return "{\"command\":\"" + request.command + "\",\"queue\":\"" + request.argument("queue") + "\"}";
}

// For what call_control() would never send.
std::string talk(const std::string& path, const std::string& text) {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::connect(socket, reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
    std::size_t sent = 0;
    while (sent < text.size()) {
        const auto n = ::send(socket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += static_cast<std::size_t>(n);
    }
    ::shutdown(socket, SHUT_WR);
    std::string answer;
    char block[4096];
    for (;;) {
        const auto n = ::recv(socket, block, sizeof block, 0);
        if (n <= 0) break;
        answer.append(block, static_cast<std::size_t>(n));
    }
    ::close(socket);
    return answer;
}

}  // namespace

TEST_CASE("a request reaches the handler and its answer comes back") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    std::string who;
    ControlServer server(path, [&](const ControlRequest& request) {
        who = request.who;
        return echo(request);
    });
    REQUIRE(server.start());
    const auto answer = call_control(path, "pause", {{"queue", "google/*"}});
    REQUIRE(answer);
    CHECK(*answer == R"({"command":"pause","queue":"google/*"})");
    CHECK_FALSE(who.empty());
}

TEST_CASE("what the handler refuses arrives with its kind and text") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    ControlServer server(path, echo);
    REQUIRE(server.start());
    const auto answer = call_control(path, "fail", {{"queue", "x/y"}});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::NotFound);
    CHECK(answer.error().text == "no queue \"x/y\"");
}

TEST_CASE("the socket can be opened by its owner only, and goes with the server") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    struct ::stat facts {};
    {
        ControlServer server(path, echo);
        REQUIRE(server.start());
        REQUIRE(::stat(path.c_str(), &facts) == 0);
        CHECK((facts.st_mode & 0777) == 0600);
    }
    CHECK(::stat(path.c_str(), &facts) != 0);
}

TEST_CASE("a second server on the same socket is refused, a leftover is replaced") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    {
        ControlServer first(path, echo), second(path, echo);
        REQUIRE(first.start());
        const Status started = second.start();
        REQUIRE_FALSE(started);
        CHECK(started.error().kind == ErrorKind::AlreadyExists);
        CHECK_THAT(started.error().text, Contains(path));
        CHECK(call_control(path, "still", {}));
    }
    // As a crash leaves it: a socket file without a listener.
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(socket, reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
    ::close(socket);
    ControlServer server(path, echo);
    REQUIRE(server.start());
    CHECK(call_control(path, "hello", {}));
}

TEST_CASE("an ordinary file where the socket should be is never removed") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    std::ofstream(path) << "precious";
    ControlServer server(path, echo);
    const Status started = server.start();
    REQUIRE_FALSE(started);
    CHECK_THAT(started.error().text, Contains("not a socket"));
    CHECK(std::filesystem::file_size(path) == 8);
}

TEST_CASE("nobody there, and paths that cannot be, are clear errors") {
    support::TemporaryDirectory folder;
    const auto nobody = call_control(folder.path() / "control.sock", "status", {});
    REQUIRE_FALSE(nobody);
    CHECK(nobody.error().kind == ErrorKind::Unavailable);
    CHECK_THAT(nobody.error().text, Contains("--socket"));
    ControlServer server(std::string(200, 'x'), echo);
    const Status started = server.start();
    REQUIRE_FALSE(started);
    CHECK_THAT(started.error().text, Contains("control_socket"));
}

TEST_CASE("lines that are not requests are refused and the connection goes on") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    ControlServer server(path, echo);
    REQUIRE(server.start());
    const std::string wrong = GENERATE(as<std::string>(), "nonsense", "[]", "{}", R"({"command":1})",
                                       R"({"command":"x","arguments":[]})", R"({"command":"x","arguments":{"a":1}})",
                                       "{\"command\":\"x\",\"arguments\":{\"a\":{\"b\":{\"c\":{\"d\":1}}}}}");
    const std::string answer = talk(path, wrong + "\n{\"command\":\"next\"}\n");
    CHECK_THAT(answer, Contains("\"ok\":false") && Contains("invalid") && Contains("\"command\":\"next\""));
}

TEST_CASE("a line without end is cut off") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    ControlServer server(path, echo);
    REQUIRE(server.start());
    CHECK(talk(path, std::string(10 * ControlServer::kMaxRequestOctets, 'x')).empty());
    CHECK(call_control(path, "next", {}));
}

TEST_CASE("a large answer arrives whole") {
    support::TemporaryDirectory folder;
    const std::string path = folder.path() / "control.sock";
    ControlServer server(
        path, [](const ControlRequest&) -> Result<std::string> { return "\"" + std::string(5'000'000, 'x') + "\""; });
    REQUIRE(server.start());
    const auto answer = call_control(path, "list", {});
    REQUIRE(answer);
    CHECK(answer->size() == 5'000'002);
}
