// Transport, Stream (ports): byte streams as both SMTP sides see them.
//
// A Stream is one TCP connection. It calls its StreamHandler; it never blocks, and it buffers only what the
// socket would not take at once. Calls into the handler never happen from inside a call to the stream,
// except on_data from within the loop. The handler may destroy the stream from any callback.
//
//   on_connected()        a client stream is up; nothing was sent yet
//   on_data(octets)       what arrived; the view is valid during the call only, all of it is consumed
//   on_writable()         everything written so far has been given to the kernel (only after a write that
//                         did not go out at once)
//   on_end()              the peer sends no more, but may still read. True: the handler has something left to say, and
//                         ends the stream itself; false: on_closed(PeerClosed). Over TLS it is always the latter
//   on_deadline()         the deadline passed. True: the handler has dealt with it, by a new deadline or by close();
//                         false: on_closed(TimedOut)
//   on_closed(reason)     the stream is dead, in whatever way; last call. Not called after close()
//
// Write: pieces go out in order, gathered in one system call. A piece with an owner is sent from where it
// is and the owner kept until it is out; a piece without an owner is copied only if the socket is full.
// Several writes in one turn of the loop are not joined: gather what belongs together.
//
// Close: shutdown_write() sends FIN after what is buffered and goes on reading; close() frees the socket at
// once (the kernel sends what it has). A connection counts against limits until on_closed or close().
//
// Deadline: one per stream. Setting it is cheap and may be done for every command.
//
// Threads: confined to the executor that made it. Errors: CloseReason with a text for people.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/network.hpp"

namespace postfleet {

struct CloseReason {
    enum class Kind {
        PeerClosed,  // FIN
        Reset,       // RST or another socket error
        TimedOut,    // the deadline passed
        ConnectRefused,
        ConnectFailed,  // unreachable, no route …
        BindFailed,     // the source address is not ours: never fall back to another one
        TlsFailed,
    };
    Kind kind = Kind::PeerClosed;
    std::string text;
};

struct WritePiece {
    std::string_view octets;
    std::shared_ptr<const void> owner;  // keeps `octets` alive; null: copy what the socket does not take
};

class StreamHandler {
public:
    virtual void on_connected() {}
    virtual void on_data(std::string_view octets) = 0;
    virtual void on_writable() {}
    virtual bool on_end() { return false; }
    virtual bool on_deadline() { return false; }
    virtual void on_closed(const CloseReason& reason) = 0;

protected:
    ~StreamHandler() = default;
};

class Stream {
public:
    virtual ~Stream() = default;
    virtual void set_handler(StreamHandler& handler) = 0;
    virtual void write(std::span<const WritePiece> pieces) = 0;
    void write(std::string_view octets) {
        const WritePiece piece{octets, nullptr};
        write(std::span(&piece, 1));
    }
    virtual std::size_t unsent_octets() const = 0;
    // Reading paused: the kernel's buffer fills and the peer waits (back-pressure).
    virtual void pause_reading() = 0;
    virtual void resume_reading() = 0;
    virtual void set_deadline(SteadyTime when) = 0;  // SteadyTime::max(): none
    virtual void shutdown_write() = 0;
    virtual void close() = 0;
    virtual void abort() { close(); }  // close() with RST instead of FIN, where the transport has one
    virtual Endpoint local() const = 0;
    virtual Endpoint remote() const = 0;
};

struct ConnectRequest {
    Endpoint peer;
    std::optional<IpAddress> source;  // bound before connecting
    SteadyTime deadline = SteadyTime::max();
};

class Transport {
public:
    virtual ~Transport() = default;
    // The result comes through the handler (on_connected or on_closed), never inside this call.
    virtual std::unique_ptr<Stream> connect(const ConnectRequest& request, StreamHandler& handler) = 0;
};

}  // namespace postfleet
