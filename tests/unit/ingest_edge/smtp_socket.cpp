#include "smtp_socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "postfleet/base/require.hpp"

namespace postfleet::ingest {

SmtpSocket::SmtpSocket(const Endpoint& server) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port);
    std::memcpy(&address.sin_addr, server.address.octets.data(), 4);
    const timeval patience{20, 0};
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    require(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

SmtpSocket::~SmtpSocket() { close(); }

void SmtpSocket::end() { ::shutdown(fd_, SHUT_WR); }

void SmtpSocket::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void SmtpSocket::send(std::string_view octets) {
    while (!octets.empty()) {
        const ssize_t sent = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL);
        require(sent > 0);
        octets.remove_prefix(static_cast<std::size_t>(sent));
    }
}

std::size_t SmtpSocket::send_some(std::string_view octets) {
    const ssize_t sent = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

bool SmtpSocket::fill() {
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got < 0 && errno == ECONNRESET) reset_ = true;
    else require(got >= 0);  // patience ended
    if (got > 0) input_.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
}

std::string SmtpSocket::read_line() {
    std::size_t end = 0;
    while ((end = input_.find("\r\n")) == std::string::npos) {
        if (!fill()) return std::exchange(input_, {}) + "<closed>";
    }
    std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    return line;
}

std::string SmtpSocket::read_reply() {
    std::string line = read_line();
    while (line.size() > 3 && line[3] == '-') line = read_line();
    return line;
}

std::string SmtpSocket::ask(std::string_view line) {
    send(std::string(line) + "\r\n");
    return read_reply();
}

std::string SmtpSocket::read_to_end() {
    while (fill()) {
    }
    return std::exchange(input_, {}) + (reset_ ? "reset" : "");
}

}  // namespace postfleet::ingest
