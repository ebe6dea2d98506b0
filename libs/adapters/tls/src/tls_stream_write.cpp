// The writing half of TlsStream: pieces become records, records become one write of the stream below.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "openssl_error.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/tls/tls_stream.hpp"
#include "unsent.hpp"

namespace postfleet::tls {

void TlsStream::write(std::span<const WritePiece> pieces) {
    if (state_ == State::Closed || failed_ != nullptr) return;
    require(state_ == State::Open && !wants_close_notify_);
    PieceReader reader(pieces);
    while (!reader.is_done() && unsent_ == nullptr && plain_->unsent_octets() == 0) {
        encrypt_round(reader);
        if (failed_ != nullptr) return;
        flush();
    }
    if (!reader.is_done()) {
        if (unsent_ == nullptr) unsent_ = std::make_unique<Unsent>();
        unsent_->keep(reader);
    }
    owes_writable_ = unsent_octets() > 0;
}

void TlsStream::encrypt_round(PieceReader& reader) {
    constexpr std::size_t kRecord = Workspace::kRecordOctets;
    std::size_t room = Workspace::kRoundOctets;
    while (!reader.is_done() && room > 0 && failed_ == nullptr) {
        const std::string_view rest = reader.rest_of_piece();
        if (rest.size() >= kRecord || reader.is_in_last()) {
            // Whole records, or all there is, from where it is. OpenSSL cuts it.
            const std::size_t whole = reader.is_in_last() ? rest.size() : rest.size() / kRecord * kRecord;
            const std::size_t size = std::min(whole, room);
            encrypt(rest.substr(0, size));
            reader.advance(size);
            room -= size;
            continue;
        }
        char* const record = workspace_.record_.get();
        const std::size_t wanted = std::min(kRecord, room);
        std::size_t filled = 0;
        while (filled < wanted && !reader.is_done()) {
            const std::string_view part = reader.rest_of_piece().substr(0, wanted - filled);
            std::memcpy(record + filled, part.data(), part.size());
            filled += part.size();
            reader.advance(part.size());
        }
        encrypt({record, filled});
        room -= filled;
    }
}

void TlsStream::encrypt(std::string_view octets) {
    ERR_clear_error();
    std::size_t written = 0;
    if (SSL_write_ex(ssl_.get(), octets.data(), octets.size(), &written) == 1) return;
    // Our BIO takes everything, so this is a lack of memory, a connection that TLS itself has given up, or a peer
    // that stopped inside a handshake message: OpenSSL writes nothing before it has the rest.
    const bool wants_rest = SSL_get_error(ssl_.get(), 0) == SSL_ERROR_WANT_READ;
    const Failure failure = wants_rest ? Failure{FailureKind::Other, "the peer stopped inside a handshake message"}
                                       : take_failure(ssl_.get());
    workspace_.ciphertext_.clear();
    set_failed(failure.kind, "TLS: " + failure.text);
    schedule();
}

void TlsStream::on_writable() {
    if (state_ == State::Closed || failed_ != nullptr) return;
    if (std::exchange(answer_waits_, false) && !paused_ && held_.empty()) plain_->resume_reading();
    send_unsent();
    if (failed_ != nullptr || unsent_octets() > 0) return;
    if (wants_close_notify_) shutdown_now();
    if (std::exchange(owes_writable_, false)) handler_->on_writable();
}

void TlsStream::send_unsent() {
    while (unsent_ != nullptr && plain_->unsent_octets() == 0) {
        PieceReader reader(unsent_->pieces, unsent_->offset);
        encrypt_round(reader);
        if (failed_ != nullptr) return;
        flush();
        unsent_->drop_until(reader);
        if (unsent_->pieces.empty()) unsent_.reset();
    }
}

std::size_t TlsStream::unsent_octets() const {
    return (unsent_ == nullptr ? 0 : unsent_->octets) + plain_->unsent_octets();
}

void TlsStream::shutdown_write() {
    if (state_ != State::Open || failed_ != nullptr || std::exchange(wants_close_notify_, true)) return;
    if (unsent_octets() == 0) shutdown_now();
}

void TlsStream::shutdown_now() {
    send_close_notify();
    plain_->shutdown_write();
}

void TlsStream::send_close_notify() {
    if ((SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    flush();
}

}  // namespace postfleet::tls
