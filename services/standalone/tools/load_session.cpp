#include "load_session.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "load.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/tls/tls_stream.hpp"

namespace postfleet::tools {

namespace {

constexpr Duration kReconnectAfter = std::chrono::milliseconds(100);
constexpr std::size_t kMaxReplyLine = 4096;

bool is_transient(int code) { return code >= 400 && code < 500; }

}  // namespace

LoadSession::~LoadSession() {
    if (timer_) shard_.loop().cancel(timer_);
}

void LoadSession::stop() {
    if (timer_) shard_.loop().cancel(std::exchange(timer_, TimerId{}));
    stream_.reset();
    state_ = State::Idle;
    if (!std::exchange(is_done_, true)) shard_.on_session_done();
}

void LoadSession::take_next() {
    if (!job_) job_ = shard_.next_job();
    if (!job_) {
        if (state_ == State::Idle) return stop();
        state_ = State::Quit;
        return write("QUIT\r\n");
    }
    if (job_->due > steady_clock_now()) {
        timer_ = shard_.loop().schedule_at(job_->due, [this] {
            timer_ = TimerId{};
            begin();
        });
        return;
    }
    begin();
}

// A message is due: on the open connection, or on a new one.
void LoadSession::begin() {
    if (shard_.shared().stopping.load(std::memory_order_relaxed)) return stop();
    if (stream_ == nullptr) return connect();
    began_ = steady_clock_now();
    send_envelope();
}

void LoadSession::connect() {
    const LoadOptions& options = shard_.shared().options;
    began_ = steady_clock_now();
    partial_.clear();
    sent_on_connection_ = 0;
    has_tls_ = false;
    state_ = State::Greeting;
    ++connection_;
    ++shard_.counts().connections;
    stream_ = shard_.loop().connect({.peer = options.target, .source = source_, .deadline = began_ + options.patience},
                                    *this);
}

// Once for the TCP connection and once for TLS over it.
void LoadSession::on_connected() {
    if (state_ == State::StartTls) return say_hello();
    if (shard_.shared().options.tls == LoadTls::Implicit && !has_tls_) secure();
}

void LoadSession::secure() {
    has_tls_ = true;
    const SteadyTime patience = shard_.loop().now() + shard_.shared().options.patience;
    auto secured =
        tls::TlsStream::connect(std::move(stream_), *shard_.shared().tls, {},
                                {.workspace = shard_.workspace(), .handler = *this, .handshake_deadline = patience});
    if (!secured) return on_lost(0, secured.error().text);
    stream_ = std::move(*secured);
}

void LoadSession::say_hello() {
    state_ = State::Ehlo;
    offers_pipelining_ = false;
    write("EHLO " + shard_.shared().options.helo + "\r\n");
}

void LoadSession::write(std::string_view octets) {
    stream_->set_deadline(shard_.loop().now() + shard_.shared().options.patience);
    stream_->write(octets);
}

void LoadSession::send_envelope() {
    const LoadShared& shared = shard_.shared();
    recipients_answered_ = recipients_taken_ = 0;
    refusal_ = 0;
    taken_.assign(shared.options.recipients, false);
    state_ = State::Mail;
    has_envelope_out_ = shared.options.pipelining && offers_pipelining_;
    out_ = "MAIL FROM:<";
    shared.maker.append_from(out_, job_->message);
    out_ += ">\r\n";
    if (has_envelope_out_) {
        for (std::uint32_t i = 0; i < shared.options.recipients; ++i) {
            out_ += "RCPT TO:<";
            shared.maker.append_recipient(out_, job_->message, i);
            out_ += ">\r\n";
        }
        out_ += "DATA\r\n";
    }
    write(out_);
}

void LoadSession::send_content() {
    state_ = State::Content;
    if (recipients_taken_ == 0) return write(".\r\n");  // an empty message for nobody; the server refuses it
    const auto pieces = shard_.shared().maker.content(job_->message, steady_clock_now(), head_);
    stream_->write(pieces);
}

void LoadSession::on_data(std::string_view octets) {
    // A reply may end this connection and begin another; what is left belongs to the old one.
    const std::uint64_t connection = connection_;
    while (!octets.empty() && stream_ != nullptr && connection == connection_) {
        const void* newline = std::memchr(octets.data(), '\n', octets.size());
        if (newline == nullptr) {
            partial_.append(octets);
            if (partial_.size() > kMaxReplyLine) {
                stream_->close();
                return on_lost(0, "a reply line is too long");
            }
            return;
        }
        const std::size_t length = static_cast<std::size_t>(static_cast<const char*>(newline) - octets.data()) + 1;
        std::string line(std::exchange(partial_, {}));
        line.append(octets.substr(0, length));
        octets.remove_prefix(length);
        const std::string_view text = trim(line);
        if (state_ == State::Ehlo && text.size() > 4 && ascii_iequals(text.substr(4), "PIPELINING")) {
            offers_pipelining_ = true;
        }
        if (text.size() > 3 && text[3] == '-') continue;
        int code = 0;
        std::from_chars(text.data(), text.data() + std::min<std::size_t>(3, text.size()), code);
        const bool had_tls = has_tls_;
        on_reply(code, text);
        if (has_tls_ && !had_tls && !octets.empty() && connection == connection_) {
            stream_->close();
            return on_lost(0, "octets in the clear behind the reply to STARTTLS");
        }
    }
}

void LoadSession::on_reply(int code, std::string_view line) {
    const LoadOptions& options = shard_.shared().options;
    const bool is_positive = code >= 200 && code < 400;
    // 421 in any place: the server is about to hang up (RFC 5321 §3.8).
    if (code == 421 || (!is_positive && state_ < State::Ready)) {
        stream_->close();
        return on_lost(code, line);
    }
    switch (state_) {
        case State::Idle:
        case State::Ready: return;
        case State::Greeting: return say_hello();
        case State::StartTls: return secure();
        case State::Ehlo:
            if (options.tls == LoadTls::Starttls && !has_tls_) {
                state_ = State::StartTls;
                return write("STARTTLS\r\n");
            }
            shard_.saw_reply();
            shard_.shared().was_greeted.store(true, std::memory_order_relaxed);
            return send_envelope();
        case State::Mail:
            if (!is_positive) refusal_ = code;
            if (has_envelope_out_ || is_positive) {
                state_ = State::Rcpt;
                if (has_envelope_out_) return;
                out_ = "RCPT TO:<";
                shard_.shared().maker.append_recipient(out_, job_->message, 0);
                return write(out_ += ">\r\n");
            }
            return finish_message(code, line);
        case State::Rcpt: return on_rcpt_reply(code, line);
        case State::Data: return on_data_reply(code, line);
        case State::Content: return finish_message(recipients_taken_ == 0 ? refusal_ : code, line);
        case State::Rset: return finish_message(refusal_, line);
        case State::Quit:
            stream_.reset();
            state_ = State::Idle;
            return take_next();
    }
}

void LoadSession::on_rcpt_reply(int code, std::string_view line) {
    const LoadShared& shared = shard_.shared();
    if (code >= 200 && code < 300) {
        taken_[recipients_answered_] = true;
        ++recipients_taken_;
    } else {
        ++shard_.counts().refused_recipients;
        if (shard_.counts().first_refusal.empty()) shard_.counts().first_refusal = line;
        // A transient refusal decides, because it is what a retry can mend.
        if (refusal_ == 0 || is_transient(code)) refusal_ = code;
    }
    if (++recipients_answered_ < shared.options.recipients) {
        if (has_envelope_out_) return;
        out_ = "RCPT TO:<";
        shared.maker.append_recipient(out_, job_->message, recipients_answered_);
        return write(out_ += ">\r\n");
    }
    if (!has_envelope_out_ && recipients_taken_ == 0) {
        state_ = State::Rset;
        return write("RSET\r\n");
    }
    state_ = State::Data;
    if (!has_envelope_out_) write("DATA\r\n");
}

void LoadSession::on_data_reply(int code, std::string_view line) {
    if (code == 354) return send_content();
    if (refusal_ == 0) refusal_ = code;
    if (shard_.counts().first_refusal.empty()) shard_.counts().first_refusal = line;
    state_ = State::Rset;  // the server still has our MAIL
    write("RSET\r\n");
}

void LoadSession::finish_message(int code, std::string_view line) {
    LoadCounts& counts = shard_.counts();
    LoadShared& shared = shard_.shared();
    shard_.saw_reply();
    if (code >= 200 && code < 300) {
        ++counts.accepted;
        counts.accepted_recipients += recipients_taken_;
        shared.accepted_recipients.fetch_add(recipients_taken_, std::memory_order_relaxed);
        counts.transaction.add(steady_clock_now() - began_);
        const std::string id = shared.maker.id(job_->message);
        for (std::uint32_t i = 0; i < shared.options.recipients; ++i) {
            if (!taken_[i]) continue;
            out_.clear();
            shared.maker.append_recipient(out_, job_->message, i);
            counts.deliveries.push_back(hash_delivery(id, out_));
        }
        shared.finished.fetch_add(1, std::memory_order_relaxed);
        job_.reset();
    } else {
        if (counts.first_refusal.empty()) counts.first_refusal = line;
        give_back(code);
    }
    after_message();
}

void LoadSession::after_message() {
    const std::uint32_t limit = shard_.shared().options.messages_per_connection;
    if (++sent_on_connection_ == limit) {
        state_ = State::Quit;
        return write("QUIT\r\n");
    }
    state_ = State::Ready;
    take_next();
}

// The message was not accepted: later again, or counted for what it is. Code 0: the connection was lost.
void LoadSession::give_back(int code) {
    LoadCounts& counts = shard_.counts();
    const LoadJob job = *std::exchange(job_, std::nullopt);
    if ((code == 0 || is_transient(code)) && shard_.may_retry(job)) {
        ++counts.retries;
        return shard_.retry(job);
    }
    if (is_transient(code)) {
        ++counts.deferred;
    } else if (code != 0) {
        ++counts.rejected;
    } else if (state_ == State::Content) {
        ++counts.unknown;
    } else {
        ++counts.aborted;
    }
    shard_.shared().finished.fetch_add(1, std::memory_order_relaxed);
}

void LoadSession::on_closed(const CloseReason& reason) { on_lost(0, reason.text); }

void LoadSession::on_lost(int code, std::string_view why) {
    const bool was_in_transaction = state_ >= State::Mail && state_ <= State::Rset;
    if (state_ != State::Quit) {
        ++shard_.counts().lost_connections;
        if (shard_.counts().first_refusal.empty()) shard_.counts().first_refusal = why;
    }
    stream_.reset();
    if (timer_) shard_.loop().cancel(std::exchange(timer_, TimerId{}));
    // A message that was only waiting for its turn keeps its place.
    if (job_ && was_in_transaction) give_back(code);
    state_ = State::Idle;
    if (shard_.shared().stopping.load(std::memory_order_relaxed)) return stop();
    // A server that hangs up at once must not make us spin.
    timer_ = shard_.loop().schedule_at(shard_.loop().now() + kReconnectAfter, [this] {
        timer_ = TimerId{};
        take_next();
    });
}

}  // namespace postfleet::tools
