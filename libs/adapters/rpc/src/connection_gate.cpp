#include "connection_gate.hpp"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "open_connections.hpp"
#include "postfleet/base/require.hpp"

namespace postfleet::rpc {

namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerTurn = 64;  // then the next listening socket, and a look whether to stop
constexpr int kMostMetadataOctets = 16 << 10;
constexpr int kHandshakeMilliseconds = 20'000;
constexpr std::uint8_t kClientBitsV6 = 64;
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(50);

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Error cannot_listen(const std::string& address, const char* why) {
    return {ErrorKind::Unavailable, "cannot listen on " + address + ": " + why + "; choose another address or port"};
}

Result<Addresses> resolve(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    std::string host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (colon == std::string::npos || host.empty()) return cannot_listen(address, "it is not ADDRESS:PORT");
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found); error != 0) {
        return cannot_listen(address, ::gai_strerror(error));
    }
    return Addresses(found, &::freeaddrinfo);
}

IpAddress client_of(const sockaddr_storage& peer) {
    IpAddress address;
    if (peer.ss_family == AF_INET) {
        std::memcpy(address.octets.data(), &reinterpret_cast<const sockaddr_in&>(peer).sin_addr, 4);
        return address;
    }
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr, octets.size());
    address = IpAddress::from_v6(octets);
    return address.v6 ? Network::around(address, kClientBitsV6).base : address;
}

int port_of(int socket) {
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&local), &size) != 0) return 0;
    return ntohs(local.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(local).sin_port
                                            : reinterpret_cast<const sockaddr_in6&>(local).sin6_port);
}

// What gRPC's own listener does, too.
void set_options(int socket) {
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int milliseconds = 20'000;  // until what is written must be acknowledged
    ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

}  // namespace

class ConnectionGate::Impl {
public:
    Impl(ConnectionLimits limits, Counter& refused) : limits_(limits), refused_(refused) {}
    ~Impl() {
        stop();
        close_all();
        if (wake_ >= 0) ::close(wake_);
    }

    Status listen(const std::string& address) {
        wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (wake_ < 0) return cannot_listen(address, std::strerror(errno));
        const auto addresses = resolve(address);
        if (!addresses) return addresses.error();
        int error = 0;
        for (const addrinfo* one = addresses->get(); one != nullptr; one = one->ai_next) {
            if (const int failed = listen_on(*one); failed != 0) error = failed;
        }
        // A name may have an address that this machine has not.
        if (sockets_.empty() || (error != 0 && error != EADDRNOTAVAIL && error != EAFNOSUPPORT)) {
            return cannot_listen(address, std::strerror(error));
        }
        return {};
    }

    void accept_all() {
        pthread_setname_np(pthread_self(), "grpc-accept");
        sockets_.push_back({wake_, POLLIN, 0});
        for (;;) {
            if (::poll(sockets_.data(), sockets_.size(), -1) < 0 && errno != EINTR) return;
            if (sockets_.back().revents != 0) break;
            for (const pollfd& socket : sockets_) {
                if (socket.revents != 0) accept_some(socket.fd);
            }
        }
        sockets_.pop_back();
    }

    void stop() {
        if (!thread_.joinable()) return;
        const std::uint64_t one = 1;
        require(::write(wake_, &one, sizeof one) == sizeof one);
        thread_.join();
        close_all();
    }

    int port = 0;
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
    std::thread thread_;

private:
    void close_all() {
        for (const pollfd& socket : sockets_) ::close(socket.fd);
        sockets_.clear();
    }
    // 0, or what errno says.
    int listen_on(const addrinfo& address) {
        sockaddr_storage local{};
        std::memcpy(&local, address.ai_addr, address.ai_addrlen);
        // All addresses of a name have one port.
        auto& port_field = local.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(local).sin_port
                                                      : reinterpret_cast<sockaddr_in6&>(local).sin6_port;
        if (port != 0) port_field = htons(static_cast<std::uint16_t>(port));
        const int socket = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (socket < 0) return errno;
        const int on = 1, off = 0;
        ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (address.ai_family == AF_INET6) ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (::bind(socket, reinterpret_cast<const sockaddr*>(&local), address.ai_addrlen) != 0 ||
            ::listen(socket, kBacklog) != 0) {
            const int error = errno;
            ::close(socket);
            return error;
        }
        port = port_of(socket);
        sockets_.push_back({socket, POLLIN, 0});
        return 0;
    }

    void accept_some(int listening) {
        for (int i = 0; i < kAcceptsPerTurn; ++i) {
            sockaddr_storage peer{};
            socklen_t size = sizeof peer;
            const int socket =
                ::accept4(listening, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (socket >= 0) {
                take(listening, socket, client_of(peer));
                continue;
            }
            if (errno == EAGAIN) return;
            if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) continue;
            pollfd stopping{wake_, POLLIN, 0};  // it waits in the backlog
            ::poll(&stopping, 1, static_cast<int>(kPauseWithoutDescriptors.count()));
            return;
        }
    }

    void take(int listening, int socket, const IpAddress& client) {
        const auto has_room = [&] {
            return open_.size() < limits_.all && open_.of_client(client) < limits_.per_client;
        };
        if (!has_room()) {
            if (const SteadyTime now = steady_clock_now(); now - looked_at_ >= kLookAgain) {
                open_.look();
                looked_at_ = now;
            }
            if (!has_room()) {
                refused_.add();
                ::close(socket);
                return;
            }
        }
        set_options(socket);
        open_.add(socket, client);
        grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
        connection.listener_fd = listening;
        connection.fd = socket;
        acceptor->HandleNewConnection(&connection);
    }

    const ConnectionLimits limits_;
    Counter& refused_;
    std::vector<pollfd> sockets_;  // the accepting thread's, while there is one
    int wake_ = -1;
    OpenConnections open_;
    SteadyTime looked_at_{};
};

ConnectionGate::ConnectionGate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ConnectionGate::~ConnectionGate() = default;

Result<std::unique_ptr<ConnectionGate>> ConnectionGate::open(const std::string& address, ConnectionLimits limits,
                                                             Counter& refused) {
    auto impl = std::make_unique<Impl>(limits, refused);
    if (Status listening = impl->listen(address); !listening) return listening.error();
    return std::unique_ptr<ConnectionGate>(new ConnectionGate(std::move(impl)));
}

int ConnectionGate::port() const { return impl_->port; }

void ConnectionGate::attach(grpc::ServerBuilder& builder, std::shared_ptr<grpc::ServerCredentials> credentials) {
    using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMostMetadataOctets);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMilliseconds);
    // A small message that becomes a large one is nobody's.
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    impl_->acceptor = builder.experimental().AddExternalConnectionAcceptor(Type::FROM_FD, std::move(credentials));
}

void ConnectionGate::start() {
    require(impl_->acceptor != nullptr && !impl_->thread_.joinable());
    impl_->thread_ = std::thread([impl = impl_.get()] { impl->accept_all(); });
}

void ConnectionGate::stop() { impl_->stop(); }

}  // namespace postfleet::rpc
