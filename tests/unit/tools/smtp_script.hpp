// SmtpScript: a blocking client for tests: sends what it is told and waits for the replies.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <catch2/catch.hpp>

#include <array>
#include <string>
#include <string_view>

#include "postfleet/base/network.hpp"
#include "postfleet/net/unique_fd.hpp"

namespace postfleet::tools {

class SmtpScript {
public:
    explicit SmtpScript(const Endpoint& to) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(to.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        const timeval limit{10, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }
    void send(std::string_view octets) {
        REQUIRE(::send(fd_.get(), octets.data(), octets.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(octets.size()));
    }
    // The next complete reply; empty when the connection has ended.
    std::string reply() {
        for (;;) {
            std::size_t at = 0;
            for (;;) {
                const std::size_t end = buffer_.find("\r\n", at);
                if (end == std::string::npos) break;
                if (end - at < 4 || buffer_[at + 3] != '-') {
                    std::string reply = buffer_.substr(0, end);
                    buffer_.erase(0, end + 2);
                    return reply;
                }
                at = end + 2;
            }
            std::array<char, 4096> octets;
            const ssize_t got = ::recv(fd_.get(), octets.data(), octets.size(), 0);
            if (got <= 0) {
                was_reset = got < 0;
                return std::exchange(buffer_, {});
            }
            buffer_.append(octets.data(), static_cast<std::size_t>(got));
        }
    }
    std::string command(std::string_view line) {
        send(std::string(line) + "\r\n");
        return reply();
    }
    // Whatever comes first, complete or not.
    std::string some() {
        std::array<char, 4096> octets;
        const ssize_t got = ::recv(fd_.get(), octets.data(), octets.size(), 0);
        return {octets.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
    }
    bool was_reset = false;

private:
    net::UniqueFd fd_;
    std::string buffer_;
};

}  // namespace postfleet::tools
