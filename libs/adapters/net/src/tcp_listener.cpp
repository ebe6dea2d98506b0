#include "postfleet/net/tcp_listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "postfleet/base/require.hpp"
#include "socket_address.hpp"
#include "tcp_stream.hpp"

namespace postfleet::net {

namespace {

// Connections that one loop takes in a turn before its sockets get their turn.
constexpr int kAcceptsPerTurn = 8;
// A loop keeps a new connection unless it has this many, plus an eighth, more than the least loaded one.
constexpr int kImbalance = 2;
constexpr Duration kPauseWithoutDescriptors = std::chrono::milliseconds(50);

UniqueFd open_reserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

bool is_out_of_resources(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

Error listen_error(const ListenRequest& request, int error) {
    const std::string where = request.name + " " + request.address.to_string();
    switch (error) {
        case EADDRINUSE:
            return {
                ErrorKind::AlreadyExists,
                where + ": address in use by another process; stop it (ss -ltnp shows which) or choose another port"};
        case EADDRNOTAVAIL:
            return {ErrorKind::InvalidArgument,
                    where + ": not an address of this machine; ip address show lists those it has"};
        case EACCES:
            return {ErrorKind::PermissionDenied,
                    where +
                        ": no permission for a port below 1024; start as root, give the program "
                        "CAP_NET_BIND_SERVICE, or choose another port"};
        default: return {ErrorKind::Unavailable, where + ": " + std::strerror(error)};
    }
}

}  // namespace

struct TcpListener::Shared {
    UniqueFd socket;
    std::string refusal;
    std::vector<EpollLoop*> loops;
    AcceptHandler* handler = nullptr;
    std::atomic<bool> stopped{false};
    std::atomic<std::uint64_t> accepted{0}, handed_over{0}, refused{0};
    // An open descriptor to give up, so that a connection can be accepted and refused when all are taken.
    std::mutex reserve_mutex;
    UniqueFd reserve;

    void give(EpollLoop& from, UniqueFd fd, const Endpoint& remote);
    enum class Refusal { Done, NothingWaits, NoDescriptor /* another thread took the reserve's */ };
    Refusal refuse_one();
};

// The listening socket's registration with one loop.
class TcpListener::Gate final : public Pollable, public std::enable_shared_from_this<Gate> {
public:
    Gate(std::shared_ptr<Shared> shared, EpollLoop& loop) : shared_(std::move(shared)), loop_(loop) {}
    EpollLoop& loop() { return loop_; }

    void open() {
        if (shared_->stopped.load(std::memory_order_relaxed) || poll_) return;
        // Level-triggered: what a loop leaves over wakes the next one.
        Result<PollId> poll = loop_.watch(shared_->socket.get(), EPOLLIN | EPOLLEXCLUSIVE, *this);
        if (poll) {
            poll_ = *poll;
        } else {
            open_later();
        }
    }

    void close() {
        if (poll_) loop_.unwatch(std::exchange(poll_, PollId{}), shared_->socket.get());
        loop_.cancel(std::exchange(reopen_, TimerId{}));
    }

    void on_events(std::uint32_t) override {
        for (int i = 0; i < kAcceptsPerTurn && !shared_->stopped.load(std::memory_order_relaxed); ++i) {
            SocketAddress peer;
            UniqueFd fd(::accept4(shared_->socket.get(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (fd) {
                shared_->give(loop_, std::move(fd), peer.to_endpoint());
                continue;
            }
            if (errno == EAGAIN) return;
            if (!is_out_of_resources(errno)) continue;  // that connection is gone already (accept(2))
            switch (shared_->refuse_one()) {
                case Shared::Refusal::Done: shared_->handler->on_refused(loop_); break;
                case Shared::Refusal::NothingWaits: return;
                case Shared::Refusal::NoDescriptor: close(); return open_later();
            }
        }
    }

private:
    void open_later() {
        reopen_ = loop_.schedule_at(steady_clock_now() + kPauseWithoutDescriptors, [self = shared_from_this()] {
            self->reopen_ = TimerId{};
            self->open();
        });
    }

    std::shared_ptr<Shared> shared_;
    EpollLoop& loop_;
    PollId poll_;
    TimerId reopen_;
};

void TcpListener::Shared::give(EpollLoop& from, UniqueFd fd, const Endpoint& remote) {
    accepted.fetch_add(1, std::memory_order_relaxed);
    EpollLoop* target = &from;
    int least = from.inbound_streams();
    const int own = least;
    for (EpollLoop* loop : loops) {
        if (const int streams = loop->inbound_streams(); streams < least) {
            least = streams;
            target = loop;
        }
    }
    if (own < least + least / 8 + kImbalance) target = &from;
    // Counted before it arrives, so that a burst does not all go to the same loop.
    target->add_inbound_stream();
    if (target == &from) {
        handler->on_accepted(from, TcpStream::adopt(from, std::move(fd), remote));
        return;
    }
    handed_over.fetch_add(1, std::memory_order_relaxed);
    target->post([receiver = handler, target, remote, fd = std::move(fd)]() mutable {
        receiver->on_accepted(*target, TcpStream::adopt(*target, std::move(fd), remote));
    });
}

TcpListener::Shared::Refusal TcpListener::Shared::refuse_one() {
    const std::lock_guard lock(reserve_mutex);
    reserve.reset();
    UniqueFd unwanted(::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    const int error = unwanted ? 0 : errno;
    if (unwanted) {
        refused.fetch_add(1, std::memory_order_relaxed);
        // Whether it gets there is the peer's luck; the connection ends either way.
        static_cast<void>(::send(unwanted.get(), refusal.data(), refusal.size(), MSG_NOSIGNAL));
    }
    unwanted.reset();
    reserve = open_reserve();
    if (error == 0) return Refusal::Done;
    return is_out_of_resources(error) ? Refusal::NoDescriptor : Refusal::NothingWaits;
}

Result<std::unique_ptr<TcpListener>> TcpListener::open(const ListenRequest& request) {
    auto shared = std::make_shared<Shared>();
    SocketAddress address(request.address);
    shared->socket = UniqueFd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = shared->socket.get();
    const int on = 1;
    // "[::]" and "0.0.0.0" can be configured side by side.
    const bool is_ready =
        fd >= 0 && ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!request.address.address.v6 || ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        // Accepted sockets inherit it: one system call less per connection.
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        ::bind(fd, address.get(), address.length) == 0 && ::listen(fd, request.backlog) == 0;
    if (!is_ready) return listen_error(request, errno);
    shared->refusal = request.refusal;
    shared->reserve = open_reserve();
    return std::unique_ptr<TcpListener>(new TcpListener(std::move(shared)));
}

TcpListener::TcpListener(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

TcpListener::~TcpListener() { stop(); }

void TcpListener::start(std::span<EpollLoop* const> loops, AcceptHandler& handler) {
    require(gates_.empty() && !loops.empty());
    shared_->loops.assign(loops.begin(), loops.end());
    shared_->handler = &handler;
    for (EpollLoop* loop : loops) {
        gates_.push_back(std::make_shared<Gate>(shared_, *loop));
        loop->post([gate = gates_.back()] { gate->open(); });
    }
}

void TcpListener::stop() {
    shared_->stopped.store(true, std::memory_order_relaxed);
    for (const std::shared_ptr<Gate>& gate : gates_) {
        gate->loop().post([gate] { gate->close(); });
    }
    gates_.clear();
}

Endpoint TcpListener::local() const {
    SocketAddress address;
    if (::getsockname(shared_->socket.get(), address.get(), &address.length) != 0) return {};
    return address.to_endpoint();
}

TcpListener::Statistics TcpListener::statistics() const {
    return {shared_->accepted.load(std::memory_order_relaxed), shared_->handed_over.load(std::memory_order_relaxed),
            shared_->refused.load(std::memory_order_relaxed)};
}

}  // namespace postfleet::net
