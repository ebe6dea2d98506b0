#include "real_broker.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

namespace postfleet::broker_test {

std::string test_variable(const char* name) {
    const char* const value = std::getenv(name);
    INFO(name << " is not set: run this through tests/support/brokers/rabbitmq.py -- PROGRAM");
    REQUIRE(value != nullptr);
    return value;
}

amqp::BrokerOptions broker_options() {
    amqp::BrokerOptions options;
    auto url = BrokerUrl::parse(test_variable("POSTFLEET_TEST_AMQP_URL"));
    REQUIRE(url);
    options.access.url = *std::move(url);
    options.name = "test";
    options.shortest_pause = std::chrono::milliseconds(50);
    options.longest_pause = std::chrono::milliseconds(500);
    return options;
}

std::string unique_name(const std::string& name) {
    static const unsigned run = std::random_device{}();
    static unsigned count = 0;
    return name + "-" + std::to_string(run) + "-" + std::to_string(++count);
}

std::string order(const std::string& line) {
    const std::string path = test_variable("POSTFLEET_TEST_AMQP_CONTROL");
    sockaddr_un address{.sun_family = AF_UNIX};
    REQUIRE(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const std::string text = line + "\n";
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
        answer.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(fd);
    INFO(line << ": " << answer);
    REQUIRE(answer.starts_with("ok\n"));
    return answer.substr(3);
}

}  // namespace postfleet::broker_test
