// TlsStream: TLS over another Stream, as a Stream (RFC 8446, RFC 5246; for SMTP: RFC 3207, RFC 8314).
//
//   plain Stream, connected ──▶ Handshaking ──on_connected──▶ Open ──▶ Closed
//                                     └── on_closed(TlsFailed) ──────────▲
//
// Made from a connected stream, also from inside its callbacks; from then on it owns that stream and is its
// handler, and every octet that comes is TLS: there is no way back to plain text. What the caller has
// received but not looked at before it made this object is plain text that an attacker may have put there:
// the caller must refuse the connection if there is any (RFC 3207 §5, CVE-2011-0411). TLS that ends ends the
// connection: close_notify is PeerClosed, and what follows it is never read.
//
// Handshake: every failure, also the loss of the connection and its deadline, is on_closed(TlsFailed) with
// a text for people; failure() tells kinds apart. The deadline of set_deadline() counts as well, whichever
// is earlier, and stands alone once the handshake is done. A server's steps take turns with those of the other streams
// of the workspace (HandshakeTurns); meanwhile nothing is read.
//
// Write: small pieces are joined, large ones encrypted from where they are, into records of 16 KiB; up to
// Workspace::kRoundOctets go out in one write of the stream below. While that one is full, pieces wait
// in plain text with their owners, so at most one round is held encrypted. unsent_octets() counts both.
// Read: one on_data for each on_data of the stream below, with everything that it completed.
// close() and shutdown_write() send close_notify behind all that was written; close() with octets unsent
// does not, so that the peer can tell that something is missing.
// A peer that makes us answer (key updates) and does not read is not read either.
//
// Memory: between two records an open stream holds this object and OpenSSL's, and no buffer (README.md).
//
// Threads: confined to the workspace's executor. Errors: CloseReason. Does not retry, fall back, or log.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/ports/transport.hpp"
#include "postfleet/tls/client_context.hpp"
#include "postfleet/tls/facts.hpp"
#include "postfleet/tls/handshake_turns.hpp"
#include "postfleet/tls/server_context.hpp"
#include "postfleet/tls/ssl_pointer.hpp"
#include "postfleet/tls/workspace.hpp"

namespace postfleet::tls {

struct StreamOptions {
    Workspace& workspace;
    StreamHandler& handler;
    SteadyTime handshake_deadline = SteadyTime::max();
    // accept(): the first octets of TLS, where they came together with something that stands before TLS (a PROXY
    // header). They are looked at in the next turn.
    std::string_view received = {};
};

class PieceReader;

class TlsStream final : public SecureStream, private StreamHandler, private HandshakeWaiter {
public:
    // Errors: Internal, when OpenSSL has no memory; InvalidArgument, a server name that cannot be one. The
    // plain stream is closed then.
    static Result<std::unique_ptr<TlsStream>> accept(std::unique_ptr<Stream> plain, const ServerContext& context,
                                                     const StreamOptions& options);
    static Result<std::unique_ptr<TlsStream>> connect(std::unique_ptr<Stream> plain, const ClientContext& context,
                                                      const ClientRequest& request, const StreamOptions& options);
    ~TlsStream() override;
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    // Between on_connected and the end; a bug at other times.
    Facts facts() const;
    TlsFacts security() const override;

    // What binds an authentication to this connection (RFC 9266, RFC 5929): 32 octets, or the hash of the
    // server's certificate. Empty where the protocol has none. As facts().
    std::string exporter_binding() const;
    std::string server_end_point_binding() const;

    // Why TLS failed, in the handshake or after it; None while it has not.
    FailureKind failure() const override { return failure_; }

    using Stream::write;
    void set_handler(StreamHandler& handler) override { handler_ = &handler; }
    void write(std::span<const WritePiece> pieces) override;
    std::size_t unsent_octets() const override;
    void pause_reading() override;
    void resume_reading() override;
    void set_deadline(SteadyTime when) override;
    void shutdown_write() override;
    void close() override;
    void abort() override;  // without close_notify
    Endpoint local() const override { return plain_->local(); }
    Endpoint remote() const override { return plain_->remote(); }

private:
    friend struct StreamBio;
    enum class State : std::uint8_t { Handshaking, Open, Closed };
    // What the handler's writes have left to do; only there while the stream below is full.
    struct Unsent;

    TlsStream(std::unique_ptr<Stream> plain, SslPointer ssl, const StreamOptions& options);

    void on_data(std::string_view octets) override;
    void on_writable() override;
    bool on_deadline() override;
    void on_closed(const CloseReason& reason) override;
    void on_turn() override;

    static Result<std::unique_ptr<TlsStream>> start(std::unique_ptr<Stream> plain, SslPointer ssl,
                                                    const StreamOptions& options);
    enum class HandshakeStep : std::uint8_t { Waiting, Done, Failed };
    HandshakeStep step_handshake();
    bool shake_hands();  // false: still in progress, or we are gone
    void take(std::string_view octets);
    void go_on(std::string_view octets);
    void read_records();
    void take_held();
    void flush();
    void flush_answer();

    void encrypt_round(PieceReader& reader);
    void encrypt(std::string_view octets);
    void send_unsent();
    void shutdown_now();
    void send_close_notify();

    template <class Call>
    bool is_alive_after(Call&& call);
    void schedule();
    void on_later();
    void fail(CloseReason::Kind kind, std::string text);
    void set_failed(FailureKind kind, std::string text);
    void report_failure();
    void release();

    std::unique_ptr<Stream> plain_;
    Workspace& workspace_;
    StreamHandler* handler_;
    SslPointer ssl_;
    std::string_view input_;  // ciphertext that OpenSSL has not taken yet; only inside a callback
    std::string held_;        // ciphertext behind a pause
    std::unique_ptr<Unsent> unsent_;
    std::unique_ptr<std::string> failed_;  // TLS is broken, to be reported in the next turn at the latest
    SteadyTime handshake_deadline_;
    SteadyTime deadline_ = SteadyTime::max();
    TimerId later_;
    bool* destroyed_ = nullptr;  // set while a callback runs that may destroy us
    State state_ = State::Handshaking;
    FailureKind failure_ = FailureKind::None;
    bool paused_ = false;
    bool waits_for_turn_ = false;  // with what was read in held_
    bool answer_waits_ = false;  // an answer of TLS itself did not go out: reading stops until it has
    bool owes_writable_ = false;
    bool wants_close_notify_ = false;
};

}  // namespace postfleet::tls
