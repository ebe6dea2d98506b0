#include "postfleet/base/result.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

using postfleet::Error;
using postfleet::ErrorKind;
using postfleet::Result;
using postfleet::Status;

TEST_CASE("a result is a value or an error") {
    Result<std::string> good = std::string("text");
    REQUIRE(good);
    CHECK(*good == "text");
    CHECK(good->size() == 4);
    const Result<std::string> bad = Error{ErrorKind::NotFound, "no such queue"};
    REQUIRE_FALSE(bad);
    CHECK(bad.error().kind == ErrorKind::NotFound);
    CHECK(bad.error().text == "no such queue");
}

TEST_CASE("a result gives its value away") {
    Result<std::unique_ptr<int>> owner = std::make_unique<int>(5);
    const std::unique_ptr<int> taken = *std::move(owner);
    CHECK(*taken == 5);
}

TEST_CASE("a status is ok unless it has an error") {
    CHECK(Status());
    const Status failed = Error{ErrorKind::Unavailable, "latched"};
    CHECK_FALSE(failed);
    CHECK(failed.error().text == "latched");
}

TEST_CASE("every kind of error has words of its own") {
    std::string all;
    for (int kind = 0; kind <= static_cast<int>(ErrorKind::Internal); ++kind) {
        const std::string words = to_string(static_cast<ErrorKind>(kind));
        CHECK(words != "unknown");
        CHECK(all.find("[" + words + "]") == std::string::npos);
        all += "[" + words + "]";
    }
}

TEST_CASE("a broken requirement says where it is and stops the process") {
    int channel[2];
    REQUIRE(::pipe(channel) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);  // Catch2's own handler would write a report
        ::dup2(channel[1], STDERR_FILENO);
        const Result<int> failed = Error{ErrorKind::Internal, "x"};
        std::_Exit(*failed);
    }
    ::close(channel[1]);
    std::string said;
    char buffer[512];
    for (ssize_t n; (n = ::read(channel[0], buffer, sizeof buffer)) > 0;)
        said.append(buffer, static_cast<std::size_t>(n));
    ::close(channel[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
    CHECK_THAT(said, Catch::Matchers::Contains("result.hpp:") && Catch::Matchers::Contains("assertion failed"));
}
