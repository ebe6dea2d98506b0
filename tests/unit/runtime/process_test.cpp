#include "postfleet/runtime/process.hpp"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "postfleet/runtime/build_info.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet::runtime;

TEST_CASE("the limit of open files is raised as far as it may be") {
    ::rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(raise_descriptor_limit() == limit.rlim_max);
}

TEST_CASE("the service manager hears what is said, and its absence is no problem") {
    ::unsetenv("NOTIFY_SOCKET");
    notify_service_manager("READY=1");
    postfleet::support::TemporaryDirectory folder;
    const std::string path = folder.path() / "notify";
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(socket, reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    notify_service_manager("READY=1");
    char received[64] = {};
    CHECK(::recv(socket, received, sizeof received, MSG_DONTWAIT) == 7);
    CHECK(std::string(received) == "READY=1");
    ::unsetenv("NOTIFY_SOCKET");
    ::close(socket);
}

TEST_CASE("the build says what it is") {
    CHECK(build_info().to_string().starts_with("Postfleet " + std::string(build_info().version) + " ("));
}
