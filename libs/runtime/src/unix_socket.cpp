#include "unix_socket.hpp"

#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace postfleet::runtime {
namespace {

Error system_error(const std::string& what, int error) {
    const bool denied = error == EACCES || error == EPERM;
    return Error{denied ? ErrorKind::PermissionDenied : ErrorKind::Unavailable, what + ": " + std::strerror(error)};
}

Result<::sockaddr_un> address_of(const std::string& path) {
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error{ErrorKind::InvalidArgument, "the path of the control socket, '" + path + "', must have 1 to " +
                                                     std::to_string(sizeof address.sun_path - 1) +
                                                     " octets; set control_socket to a shorter one"};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

int milliseconds_until(SteadyTime deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock_now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

Status wait_for(int descriptor, short events, SteadyTime deadline) {
    for (;;) {
        ::pollfd polled{descriptor, events, 0};
        const int ready = ::poll(&polled, 1, milliseconds_until(deadline));
        if (ready > 0) return {};
        if (ready == 0) return Error{ErrorKind::DeadlineExceeded, "no answer in time"};
        if (errno != EINTR) return system_error("poll", errno);
    }
}

}  // namespace

UnixSocket::~UnixSocket() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

UnixSocket::UnixSocket(UnixSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), rest_(std::move(other.rest_)) {}

UnixSocket& UnixSocket::operator=(UnixSocket&& other) noexcept {
    UnixSocket old(std::move(*this));  // closes what this one had
    descriptor_ = std::exchange(other.descriptor_, -1);
    rest_ = std::move(other.rest_);
    return *this;
}

Result<UnixSocket> UnixSocket::connect(const std::string& path) {
    const Result<::sockaddr_un> address = address_of(path);
    if (!address) return address.error();
    UnixSocket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.descriptor_ < 0) return system_error("socket", errno);
    const auto* where = reinterpret_cast<const ::sockaddr*>(&*address);
    if (::connect(socket.descriptor_, where, sizeof *address) == 0) return socket;
    if (errno == ENOENT || errno == ECONNREFUSED) {
        return Error{ErrorKind::Unavailable, "no Postfleet answers on " + path +
                                                 "; is it running? Say where with --config DIR or --socket PATH, "
                                                 "or ask a cluster with --router"};
    }
    return system_error("cannot connect to " + path, errno);
}

Result<UnixSocket> UnixSocket::listen(const std::string& path) {
    const Result<::sockaddr_un> address = address_of(path);
    if (!address) return address.error();
    struct ::stat facts {};
    if (::lstat(path.c_str(), &facts) == 0) {
        if (!S_ISSOCK(facts.st_mode)) {
            return Error{ErrorKind::AlreadyExists, path + " is in the way: it is not a socket; remove it"};
        }
        if (connect(path)) {
            return Error{ErrorKind::AlreadyExists, "another Postfleet answers on " + path + "; stop it first"};
        }
        ::unlink(path.c_str());
    }
    UnixSocket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.descriptor_ < 0) return system_error("socket", errno);
    // Before bind(): Linux gives the file this mode from its first moment.
    ::fchmod(socket.descriptor_, 0600);
    if (::bind(socket.descriptor_, reinterpret_cast<const ::sockaddr*>(&*address), sizeof *address) != 0 ||
        ::listen(socket.descriptor_, 64) != 0) {
        return system_error("cannot make the control socket " + path, errno);
    }
    ::chmod(path.c_str(), 0600);
    return socket;
}

Result<UnixSocket> UnixSocket::accept() {
    for (;;) {
        const int accepted = ::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted >= 0) return UnixSocket(accepted);
        if (errno == EINVAL || errno == EBADF) return Error{ErrorKind::Cancelled, "stopped"};
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            ::poll(nullptr, 0, 100);
        }
    }
}

Result<std::string> UnixSocket::read_line(std::size_t limit, Duration timeout) {
    const SteadyTime deadline = steady_clock_now() + timeout;
    std::size_t searched = 0;
    for (;;) {
        const std::size_t newline = rest_.find('\n', searched);
        if (newline != std::string::npos) {
            std::string line = rest_.substr(0, newline);
            rest_.erase(0, newline + 1);
            return line;
        }
        searched = rest_.size();
        if (searched > limit) return Error{ErrorKind::ResourceExhausted, "line too long"};
        if (Status ready = wait_for(descriptor_, POLLIN, deadline); !ready) return ready.error();
        std::array<char, 64 * 1024> block;
        const ::ssize_t got = ::recv(descriptor_, block.data(), block.size(), 0);
        if (got == 0) return Error{ErrorKind::NotFound, "the connection was closed"};
        if (got < 0 && errno != EINTR) return system_error("read", errno);
        if (got > 0) rest_.append(block.data(), static_cast<std::size_t>(got));
    }
}

Status UnixSocket::write_all(const std::string& text, Duration timeout) {
    const SteadyTime deadline = steady_clock_now() + timeout;
    std::size_t done = 0;
    while (done < text.size()) {
        if (Status ready = wait_for(descriptor_, POLLOUT, deadline); !ready) return ready;
        const ::ssize_t sent = ::send(descriptor_, text.data() + done, text.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EINTR && errno != EAGAIN) return system_error("write", errno);
        if (sent > 0) done += static_cast<std::size_t>(sent);
    }
    return {};
}

void UnixSocket::shutdown() { ::shutdown(descriptor_, SHUT_RDWR); }

std::string UnixSocket::peer() const {
    ::ucred credentials{};
    ::socklen_t size = sizeof credentials;
    if (::getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return "unknown";
    ::passwd entry{};
    ::passwd* found = nullptr;
    std::array<char, 4096> buffer;
    ::getpwuid_r(credentials.uid, &entry, buffer.data(), buffer.size(), &found);
    return found != nullptr ? std::string(found->pw_name) : "uid " + std::to_string(credentials.uid);
}

}  // namespace postfleet::runtime
