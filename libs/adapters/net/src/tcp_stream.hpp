// TcpStream: a Stream over one TCP socket on an EpollLoop.
//
//   Connecting -> Open -> Closed
//        \______________/^
//
// Open, with what the edge-triggered registration requires us to remember: may_read_ (the kernel has or had
// something for us: no further edge will say so) and unsent_ (the socket was full). After a read that did
// not fill the buffer the socket is empty, and the next octet is a new edge; only once the peer has hung up
// do we read on to the end.
//
// An open stream without unsent octets holds nothing but this object and at most one timer.
// Threads: confined to the loop. Errors: CloseReason, through the handler.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/net/unique_fd.hpp"
#include "postfleet/ports/transport.hpp"

struct iovec;

namespace postfleet::net {

class TcpStream final : public Stream, private Pollable {
public:
    static std::unique_ptr<TcpStream> connect(EpollLoop& loop, const ConnectRequest& request, StreamHandler& handler);
    // Takes an accepted, non-blocking socket that add_inbound_stream() has counted already.
    static std::unique_ptr<TcpStream> adopt(EpollLoop& loop, UniqueFd fd, const Endpoint& remote);
    ~TcpStream() override;

    using Stream::write;
    void set_handler(StreamHandler& handler) override { handler_ = &handler; }
    void write(std::span<const WritePiece> pieces) override;
    std::size_t unsent_octets() const override { return unsent_ == nullptr ? 0 : unsent_->octets; }
    void pause_reading() override { paused_ = true; }
    void resume_reading() override;
    void set_deadline(SteadyTime when) override;
    void shutdown_write() override;
    void close() override;
    void abort() override;
    Endpoint local() const override;
    Endpoint remote() const override { return remote_; }

private:
    enum class State : std::uint8_t { Connecting, Open, Closed };
    enum class Direction : std::uint8_t { Outbound, Inbound };
    // What the socket did not take; only there while it is full.
    struct Unsent {
        std::deque<WritePiece> pieces;
        std::size_t octets = 0;
    };

    TcpStream(EpollLoop& loop, const Endpoint& remote, Direction direction)
        : loop_(loop), remote_(remote), direction_(direction) {}

    void start_connecting(const ConnectRequest& request);
    void fail_later(CloseReason::Kind kind, std::string text);
    void fail(CloseReason::Kind kind, std::string text);
    void report_failure();
    void release();

    void on_events(std::uint32_t epoll_events) override;
    bool finish_connecting();  // both: false when the handler has closed or destroyed the stream
    bool flush();
    void read();
    void end_of_input();
    void keep_unsent(std::span<const WritePiece> pieces, std::size_t sent);
    void on_timer();

    EpollLoop& loop_;
    StreamHandler* handler_ = nullptr;
    UniqueFd fd_;
    PollId poll_;
    Endpoint remote_;
    State state_ = State::Open;
    const Direction direction_;
    bool may_read_ = false;
    bool hung_up_ = false;
    bool peer_ended_ = false;  // FIN was read
    bool both_ended_ = false;
    bool paused_ = false;
    bool wants_fin_ = false;
    std::unique_ptr<CloseReason> failure_;  // to be reported in the next turn
    std::unique_ptr<Unsent> unsent_;
    // The deadline moves with every command, the timer only when it fires or would fire too late.
    SteadyTime deadline_ = SteadyTime::max();
    SteadyTime timer_due_ = SteadyTime::max();
    TimerId timer_;
};

}  // namespace postfleet::net
