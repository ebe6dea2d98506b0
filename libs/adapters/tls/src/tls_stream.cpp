#include "postfleet/tls/tls_stream.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "client_session.hpp"
#include "openssl_error.hpp"
#include "postfleet/base/require.hpp"
#include "stream_bio.hpp"
#include "unsent.hpp"

namespace postfleet::tls {

void FreeSsl::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Result<std::unique_ptr<TlsStream>> TlsStream::accept(std::unique_ptr<Stream> plain, const ServerContext& context,
                                                     const StreamOptions& options) {
    SslPointer ssl = context.new_ssl();
    if (ssl == nullptr) return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    return start(std::move(plain), std::move(ssl), options);
}

Result<std::unique_ptr<TlsStream>> TlsStream::connect(std::unique_ptr<Stream> plain, const ClientContext& context,
                                                      const ClientRequest& request, const StreamOptions& options) {
    Result<SslPointer> ssl = context.new_ssl(request);
    if (!ssl) return ssl.error();
    return start(std::move(plain), std::move(*ssl), options);
}

Result<std::unique_ptr<TlsStream>> TlsStream::start(std::unique_ptr<Stream> plain, SslPointer ssl,
                                                    const StreamOptions& options) {
    std::unique_ptr<TlsStream> stream(new TlsStream(std::move(plain), std::move(ssl), options));
    BioPointer bio = StreamBio::make(*stream);
    if (bio == nullptr) return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    BIO_up_ref(bio.get());
    SSL_set0_rbio(stream->ssl_.get(), bio.get());
    SSL_set0_wbio(stream->ssl_.get(), bio.release());
    stream->plain_->set_handler(*stream);
    stream->plain_->set_deadline(options.handshake_deadline);
    stream->plain_->resume_reading();  // whoever had it before may have paused it
    if (!options.received.empty()) {
        stream->held_.assign(options.received);
        stream->schedule();
    }
    // A client speaks first. A server finds nothing to do yet.
    if (SSL_is_server(stream->ssl_.get()) == 0) {
        const HandshakeStep step = stream->step_handshake();
        if (step == HandshakeStep::Failed) stream->schedule();
    }
    return stream;
}

TlsStream::TlsStream(std::unique_ptr<Stream> plain, SslPointer ssl, const StreamOptions& options)
    : plain_(std::move(plain)),
      workspace_(options.workspace),
      handler_(&options.handler),
      ssl_(std::move(ssl)),
      handshake_deadline_(options.handshake_deadline) {}

TlsStream::~TlsStream() {
    if (destroyed_ != nullptr) *destroyed_ = true;
    close();
}

template <class Call>
bool TlsStream::is_alive_after(Call&& call) {
    bool destroyed = false;
    bool* const outer = std::exchange(destroyed_, &destroyed);
    std::forward<Call>(call)();
    if (destroyed) {
        if (outer != nullptr) *outer = true;
        return false;
    }
    destroyed_ = outer;
    return state_ != State::Closed;
}

void TlsStream::on_data(std::string_view octets) {
    if (state_ == State::Closed || failed_ != nullptr) return;
    if (!held_.empty() || (paused_ && state_ == State::Open)) {
        held_.append(octets);
        return;
    }
    take(octets);
}

// Whoever waits for its turn is not read: what has come stays with the kernel.
void TlsStream::take(std::string_view octets) {
    const bool is_step = state_ == State::Handshaking && SSL_is_server(ssl_.get()) == 1;
    if (!is_step || workspace_.turns_.take(*this)) return go_on(octets);
    waits_for_turn_ = true;
    held_.assign(octets);
    plain_->pause_reading();
}

void TlsStream::on_turn() {
    waits_for_turn_ = false;
    const std::string input = std::exchange(held_, {});
    if (!is_alive_after([&] { go_on(input); })) return;
    if (state_ == State::Handshaking || (!paused_ && !answer_waits_)) plain_->resume_reading();
}

void TlsStream::go_on(std::string_view octets) {
    input_ = octets;
    if (state_ == State::Handshaking && !shake_hands()) return;
    if (!paused_) return read_records();
    // The handler paused in on_connected; what came behind the handshake waits.
    held_.assign(input_);
    input_ = {};
}

TlsStream::HandshakeStep TlsStream::step_handshake() {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) {
        flush();
        return HandshakeStep::Done;
    }
    const int error = SSL_get_error(ssl_.get(), done);
    if (error == SSL_ERROR_WANT_READ) {
        flush();
        return HandshakeStep::Waiting;
    }
    const Failure failure = take_failure(ssl_.get());
    flush();  // the alert
    forget_session(ssl_.get());
    set_failed(failure.kind, "TLS handshake: " + failure.text);
    return HandshakeStep::Failed;
}

bool TlsStream::shake_hands() {
    switch (step_handshake()) {
        case HandshakeStep::Waiting: return false;
        case HandshakeStep::Failed: report_failure(); return false;
        case HandshakeStep::Done: break;
    }
    state_ = State::Open;
    plain_->set_deadline(deadline_);
    if (paused_) plain_->pause_reading();
    return is_alive_after([this] { handler_->on_connected(); });
}

void TlsStream::read_records() {
    if (input_.empty()) return;
    const std::span<char> room = workspace_.plaintext_for(input_.size());
    std::size_t filled = 0;
    ERR_clear_error();
    for (;;) {
        std::size_t got = 0;
        require(filled < room.size());
        if (SSL_read_ex(ssl_.get(), room.data() + filled, room.size() - filled, &got) != 1) break;
        filled += got;
    }
    const int error = SSL_get_error(ssl_.get(), 0);
    Failure failure;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN) failure = take_failure(ssl_.get());
    input_ = {};
    flush_answer();
    if (filled > 0 && !is_alive_after([&] { handler_->on_data(std::string_view(room.data(), filled)); })) return;
    if (error == SSL_ERROR_WANT_READ) return;
    if (error == SSL_ERROR_ZERO_RETURN) return fail(CloseReason::Kind::PeerClosed, "the peer closed the TLS session");
    set_failed(failure.kind, "TLS: " + failure.text);
    report_failure();
}

void TlsStream::flush() {
    std::string& ciphertext = workspace_.ciphertext_;
    if (ciphertext.empty()) return;
    plain_->write(ciphertext);
    ciphertext.clear();
}

void TlsStream::flush_answer() {
    if (workspace_.ciphertext_.empty()) return;
    flush();
    if (plain_->unsent_octets() == 0) return;
    answer_waits_ = true;
    plain_->pause_reading();
}

bool TlsStream::on_deadline() { return state_ == State::Open && failed_ == nullptr && handler_->on_deadline(); }

void TlsStream::on_closed(const CloseReason& reason) {
    if (state_ == State::Handshaking && failed_ == nullptr) {
        const bool timed_out = reason.kind == CloseReason::Kind::TimedOut;
        set_failed(timed_out ? FailureKind::TimedOut : FailureKind::PeerClosed,
                   timed_out ? "TLS handshake: not finished in time"
                             : fmt::format("TLS handshake: the connection ended in the middle: {}", reason.text));
    }
    if (failed_ != nullptr) return report_failure();
    const bool lost = reason.kind == CloseReason::Kind::PeerClosed || reason.kind == CloseReason::Kind::Reset;
    if (lost && !held_.empty()) {
        // What the peer said before it went comes first, pause or not: it is often the reason.
        paused_ = false;
        if (!is_alive_after([this] { take_held(); })) return;
    }
    fail(reason.kind, reason.text);
}

void TlsStream::pause_reading() {
    paused_ = true;
    if (state_ == State::Open) plain_->pause_reading();
}

void TlsStream::resume_reading() {
    if (!std::exchange(paused_, false) || state_ != State::Open) return;
    if (!held_.empty()) return schedule();
    if (!answer_waits_) plain_->resume_reading();
}

void TlsStream::take_held() {
    const std::string input = std::exchange(held_, {});
    take(input);
}

void TlsStream::set_deadline(SteadyTime when) {
    if (state_ == State::Closed) return;
    deadline_ = when;
    plain_->set_deadline(state_ == State::Handshaking ? std::min(when, handshake_deadline_) : when);
}

void TlsStream::close() {
    if (state_ == State::Closed) return;
    if (state_ == State::Open && failed_ == nullptr && unsent_octets() == 0) send_close_notify();
    release();
}

void TlsStream::abort() {
    if (state_ == State::Closed) return;
    plain_->abort();
    release();
}

void TlsStream::release() {
    state_ = State::Closed;
    if (later_) workspace_.executor().cancel(std::exchange(later_, TimerId{}));
    if (std::exchange(waits_for_turn_, false)) workspace_.turns_.leave(*this);
    plain_->close();
    unsent_.reset();
    std::string().swap(held_);
    input_ = {};
    // However the connection ended, its session is good for the next one, unless TLS itself failed.
    if (failed_ == nullptr && SSL_is_init_finished(ssl_.get()) == 1) {
        SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    ssl_.reset();
}

void TlsStream::fail(CloseReason::Kind kind, std::string text) {
    if (kind == CloseReason::Kind::PeerClosed && unsent_octets() == 0) send_close_notify();
    release();
    handler_->on_closed({kind, std::move(text)});
}

void TlsStream::set_failed(FailureKind kind, std::string text) {
    failure_ = kind;
    failed_ = std::make_unique<std::string>(std::move(text));
}

void TlsStream::report_failure() {
    std::string text = std::move(*failed_);
    release();
    handler_->on_closed({CloseReason::Kind::TlsFailed, std::move(text)});
}

void TlsStream::schedule() {
    if (later_) return;
    Executor& executor = workspace_.executor();
    later_ = executor.schedule_at(executor.now(), [this] {
        later_ = TimerId{};
        on_later();
    });
}

void TlsStream::on_later() {
    if (failed_ != nullptr) return report_failure();
    if (paused_ || held_.empty()) return;
    if (!is_alive_after([this] { take_held(); })) return;
    if (!paused_ && !answer_waits_ && !waits_for_turn_) plain_->resume_reading();
}

}  // namespace postfleet::tls
