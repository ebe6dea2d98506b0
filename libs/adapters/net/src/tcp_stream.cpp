#include "tcp_stream.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "postfleet/base/require.hpp"
#include "socket_address.hpp"

namespace postfleet::net {

namespace {

constexpr std::uint32_t kEverything = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
// Full read buffers that one stream may take before the others get their turn.
constexpr int kReadsPerTurn = 4;
constexpr std::size_t kPiecesPerCall = 64;

struct Sent {
    std::size_t octets = 0;
    int error = 0;  // EAGAIN: the socket is full
};

Sent send_gathered(int fd, std::span<const iovec> parts) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    for (;;) {
        const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) return {static_cast<std::size_t>(sent), 0};
        if (errno != EINTR) return {0, errno};
    }
}

int socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

iovec to_iovec(std::string_view octets) { return {const_cast<char*>(octets.data()), octets.size()}; }

}  // namespace

std::unique_ptr<TcpStream> TcpStream::connect(EpollLoop& loop, const ConnectRequest& request, StreamHandler& handler) {
    std::unique_ptr<TcpStream> stream(new TcpStream(loop, request.peer, Direction::Outbound));
    stream->handler_ = &handler;
    stream->state_ = State::Connecting;
    stream->start_connecting(request);
    if (!stream->poll_) stream->poll_ = loop.watch_nothing(*stream);
    if (stream->failure_) loop.run_again(stream->poll_);
    stream->set_deadline(request.deadline);
    return stream;
}

std::unique_ptr<TcpStream> TcpStream::adopt(EpollLoop& loop, UniqueFd fd, const Endpoint& remote) {
    std::unique_ptr<TcpStream> stream(new TcpStream(loop, remote, Direction::Inbound));
    stream->fd_ = std::move(fd);
    Result<PollId> poll = loop.watch(stream->fd_.get(), kEverything, *stream);
    if (poll) {
        stream->poll_ = *poll;
    } else {
        stream->poll_ = loop.watch_nothing(*stream);
        stream->fail_later(CloseReason::Kind::Reset, poll.error().text);
    }
    return stream;
}

TcpStream::~TcpStream() { release(); }

void TcpStream::start_connecting(const ConnectRequest& request) {
    SocketAddress peer(request.peer);
    const auto failed = [&](CloseReason::Kind kind, std::string text) {
        failure_ = std::make_unique<CloseReason>(CloseReason{kind, std::move(text)});
    };
    fd_ = UniqueFd(::socket(peer.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_) return failed(CloseReason::Kind::ConnectFailed, fmt::format("no socket: {}", std::strerror(errno)));
    const int on = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (request.source) {
        // The port is chosen by connect(), so that one address can use each of its ports once per peer.
        ::setsockopt(fd_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        SocketAddress source(Endpoint{*request.source, 0});
        if (::bind(fd_.get(), source.get(), source.length) != 0) {
            return failed(CloseReason::Kind::BindFailed,
                          fmt::format("cannot send from {}: {}", request.source->to_string(), std::strerror(errno)));
        }
    }
    if (::connect(fd_.get(), peer.get(), peer.length) != 0 && errno != EINPROGRESS) {
        return failed(errno == ECONNREFUSED ? CloseReason::Kind::ConnectRefused : CloseReason::Kind::ConnectFailed,
                      fmt::format("connecting to {}: {}", request.peer.to_string(), std::strerror(errno)));
    }
    Result<PollId> poll = loop_.watch(fd_.get(), kEverything, *this);
    if (!poll) return failed(CloseReason::Kind::ConnectFailed, poll.error().text);
    poll_ = *poll;
}

void TcpStream::fail_later(CloseReason::Kind kind, std::string text) {
    if (failure_) return;
    failure_ = std::make_unique<CloseReason>(CloseReason{kind, std::move(text)});
    loop_.run_again(poll_);
}

void TcpStream::fail(CloseReason::Kind kind, std::string text) {
    release();
    handler_->on_closed({kind, std::move(text)});
}

void TcpStream::report_failure() {
    const std::unique_ptr<CloseReason> failure = std::move(failure_);
    fail(failure->kind, std::move(failure->text));
}

void TcpStream::close() { release(); }

void TcpStream::abort() {
    const linger at_once{1, 0};
    if (fd_) ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    release();
}

void TcpStream::release() {
    if (std::exchange(state_, State::Closed) == State::Closed) return;
    loop_.unwatch(poll_, -1);
    if (timer_) loop_.cancel(std::exchange(timer_, TimerId{}));
    unsent_.reset();
    fd_.reset();
    if (direction_ == Direction::Inbound) loop_.remove_inbound_stream();
}

void TcpStream::on_events(std::uint32_t epoll_events) {
    require(handler_ != nullptr);
    if (failure_ && state_ == State::Connecting) return report_failure();
    if (state_ == State::Connecting) {
        if ((epoll_events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0 || !finish_connecting()) return;
    }
    if ((epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
    if ((epoll_events & EPOLLHUP) != 0) both_ended_ = true;
    if (hung_up_ || (epoll_events & EPOLLIN) != 0) may_read_ = true;
    if (unsent_ != nullptr && (epoll_events & EPOLLOUT) != 0 && !failure_ && !flush()) return;
    if (failure_) {
        // A write failed. What the peer said before it went is still there: often the reason (421 …).
        may_read_ = hung_up_ = true;
        paused_ = false;
    }
    if (may_read_ && !paused_) read();
}

bool TcpStream::finish_connecting() {
    if (const int error = socket_error(fd_.get()); error != 0) {
        fail(error == ECONNREFUSED ? CloseReason::Kind::ConnectRefused : CloseReason::Kind::ConnectFailed,
             fmt::format("connecting to {}: {}", remote_.to_string(), std::strerror(error)));
        return false;
    }
    state_ = State::Open;
    const PollId poll = poll_;
    EpollLoop& loop = loop_;
    handler_->on_connected();
    return loop.is_watching(poll);
}

void TcpStream::read() {
    const PollId poll = poll_;
    EpollLoop& loop = loop_;
    const std::span<char> scratch = loop.scratch();
    for (int reads = 0; reads < kReadsPerTurn; ++reads) {
        const ssize_t got = ::recv(fd_.get(), scratch.data(), scratch.size(), 0);
        if (got > 0) {
            may_read_ = hung_up_ || static_cast<std::size_t>(got) == scratch.size();
            handler_->on_data(std::string_view(scratch.data(), static_cast<std::size_t>(got)));
            if (!loop.is_watching(poll)) return;
            if (!may_read_ || paused_) return;
            continue;
        }
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN && !failure_) {
            may_read_ = false;
            return;
        }
        if (failure_) return report_failure();
        if (got == 0) return end_of_input();
        return fail(CloseReason::Kind::Reset, std::strerror(errno));
    }
    loop_.run_again(poll_);
}

// A handler that keeps the stream is told again only when it is over both ways.
void TcpStream::end_of_input() {
    may_read_ = false;
    const bool first = !std::exchange(peer_ended_, true);
    if (!both_ended_ && (!first || handler_->on_end())) return;
    // Behind a FIN recv() does not tell of an RST.
    const int error = first ? 0 : socket_error(fd_.get());
    if (error != 0) return fail(CloseReason::Kind::Reset, std::strerror(error));
    fail(CloseReason::Kind::PeerClosed, "the peer closed the connection");
}

void TcpStream::write(std::span<const WritePiece> pieces) {
    if (state_ == State::Closed || failure_) return;
    require(state_ == State::Open && !wants_fin_);
    if (unsent_ != nullptr) return keep_unsent(pieces, 0);
    while (!pieces.empty()) {
        std::array<iovec, kPiecesPerCall> parts;
        std::size_t used = 0;
        std::size_t octets = 0;
        for (const WritePiece& piece : pieces.first(std::min(pieces.size(), kPiecesPerCall))) {
            parts[used++] = to_iovec(piece.octets);
            octets += piece.octets.size();
        }
        if (octets == 0) return;
        const Sent sent = send_gathered(fd_.get(), std::span(parts).first(used));
        if (sent.error != 0 && sent.error != EAGAIN) {
            return fail_later(CloseReason::Kind::Reset, std::strerror(sent.error));
        }
        if (sent.octets < octets) return keep_unsent(pieces, sent.octets);
        pieces = pieces.subspan(used);
    }
}

void TcpStream::keep_unsent(std::span<const WritePiece> pieces, std::size_t sent) {
    if (unsent_ == nullptr) unsent_ = std::make_unique<Unsent>();
    for (const WritePiece& piece : pieces) {
        const std::size_t skipped = std::min(sent, piece.octets.size());
        sent -= skipped;
        std::string_view rest = piece.octets.substr(skipped);
        if (rest.empty()) continue;
        unsent_->octets += rest.size();
        if (piece.owner != nullptr) {
            unsent_->pieces.push_back({rest, piece.owner});
        } else {
            // shared_ptr because a piece's owner is one.
            auto copy = std::make_shared<const std::string>(rest);
            const std::string_view copied = *copy;
            unsent_->pieces.push_back({copied, std::move(copy)});
        }
    }
}

bool TcpStream::flush() {
    while (!unsent_->pieces.empty()) {
        std::array<iovec, kPiecesPerCall> parts;
        std::size_t used = 0;
        std::size_t octets = 0;
        for (const WritePiece& piece : unsent_->pieces) {
            if (used == parts.size()) break;
            parts[used++] = to_iovec(piece.octets);
            octets += piece.octets.size();
        }
        const Sent sent = send_gathered(fd_.get(), std::span(parts).first(used));
        if (sent.error != 0 && sent.error != EAGAIN) {
            fail_later(CloseReason::Kind::Reset, std::strerror(sent.error));
            return true;
        }
        unsent_->octets -= sent.octets;
        std::size_t left = sent.octets;
        while (left > 0 && left >= unsent_->pieces.front().octets.size()) {
            left -= unsent_->pieces.front().octets.size();
            unsent_->pieces.pop_front();
        }
        if (left > 0) unsent_->pieces.front().octets.remove_prefix(left);
        if (sent.octets < octets) return true;
    }
    unsent_.reset();
    if (wants_fin_) ::shutdown(fd_.get(), SHUT_WR);
    const PollId poll = poll_;
    EpollLoop& loop = loop_;
    handler_->on_writable();
    return loop.is_watching(poll);
}

void TcpStream::resume_reading() {
    if (!std::exchange(paused_, false)) return;
    if (may_read_ && state_ == State::Open) loop_.run_again(poll_);
}

void TcpStream::set_deadline(SteadyTime when) {
    if (state_ == State::Closed) return;
    deadline_ = when;
    // A timer that is due earlier finds the new deadline when it fires.
    if (when >= timer_due_ || when == SteadyTime::max()) return;
    timer_due_ = when;
    if (timer_) {
        loop_.move_timer(timer_, when);
    } else {
        timer_ = loop_.schedule_at(when, [this] { on_timer(); });
    }
}

void TcpStream::on_timer() {
    timer_ = TimerId{};
    timer_due_ = SteadyTime::max();
    if (deadline_ > loop_.now()) return set_deadline(deadline_);
    if (state_ == State::Open && handler_->on_deadline()) return;
    fail(CloseReason::Kind::TimedOut, state_ == State::Connecting
                                          ? fmt::format("connecting to {} took too long", remote_.to_string())
                                          : "no answer in time");
}

void TcpStream::shutdown_write() {
    if (state_ != State::Open || std::exchange(wants_fin_, true)) return;
    if (unsent_ == nullptr) ::shutdown(fd_.get(), SHUT_WR);
}

Endpoint TcpStream::local() const {
    SocketAddress address;
    if (!fd_ || ::getsockname(fd_.get(), address.get(), &address.length) != 0) return {};
    return address.to_endpoint();
}

}  // namespace postfleet::net
