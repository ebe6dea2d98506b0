#include "forwarder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "postfleet/base/base64.hpp"

namespace postfleet::bench {

namespace {

constexpr std::string_view kReceived = "Received: from bare by bare; Sun, 22 Nov 2026 00:00:00 +0000\r\n";
constexpr std::string_view kEnd = "\r\n.\r\n";

}  // namespace

Shard::~Shard() = default;

void Shard::enqueue(std::shared_ptr<const Mail> mail) {
    while (deliveries_.size() < connections_) deliveries_.push_back(std::make_unique<Delivery>(*this, to_));
    if (idle_.empty()) {
        queue_.push_back(std::move(mail));
        return;
    }
    Delivery& delivery = *idle_.back();
    idle_.pop_back();
    delivery.deliver(std::move(mail));
}

std::string Shard::sign(std::string_view content) const {
    if (key_ == nullptr) return {};
    const Result<std::string> signature = key_->sign(digests_.sha256(content));
    if (!signature) {
        fmt::print(stderr, "bare_forwarder: {}\n", signature.error().text);
        std::_Exit(1);
    }
    return "X-Signature: " + base64_encode(*signature) + "\r\n";
}

void Intake::start(Shard& shard, std::unique_ptr<Stream> stream) {
    std::shared_ptr<Intake> session(new Intake(shard, std::move(stream)));
    session->self_ = session;
    session->stream_->set_handler(*session);
    session->stream_->write("220 bare ESMTP\r\n");
}

void Intake::on_closed(const CloseReason&) {
    stream_->close();
    const std::shared_ptr<Intake> last = std::move(self_);
}

void Intake::on_data(std::string_view octets) {
    if (state_ == State::Syncing) {
        held_.append(octets);
        return;
    }
    consume(octets);
}

void Intake::consume(std::string_view input) {
    const std::shared_ptr<Intake> alive = shared_from_this();
    while (!input.empty() && state_ != State::Syncing && !wants_quit_) {
        input.remove_prefix(state_ == State::Content ? take_content(input) : take_line(input));
    }
    if (state_ == State::Syncing) held_.append(input);
    if (!out_.empty()) stream_->write(out_);
    out_.clear();
    if (wants_quit_) on_closed({});
}

std::size_t Intake::take_line(std::string_view input) {
    const void* newline = std::memchr(input.data(), '\n', input.size());
    if (newline == nullptr) {
        partial_.append(input);
        return input.size();
    }
    const std::size_t length = static_cast<std::size_t>(static_cast<const char*>(newline) - input.data()) + 1;
    if (partial_.empty()) {
        on_command(input.substr(0, length));
    } else {
        partial_.append(input.substr(0, length));
        on_command(partial_);
        partial_.clear();
    }
    return length;
}

void Intake::on_command(std::string_view line) {
    switch (line.front() & 0xdf) {
        case 'M':
            mail_->envelope = line;
            out_ += "250 ok\r\n";
            return;
        case 'R':
            if ((line[1] & 0xdf) == 'C') {
                mail_->envelope += line;
                ++mail_->recipients;
            }
            out_ += "250 ok\r\n";
            return;
        case 'D':
            state_ = State::Content;
            out_ += "354 go\r\n";
            return;
        case 'E': out_ += "250-bare\r\n250 PIPELINING\r\n"; return;
        case 'Q':
            out_ += "221 bye\r\n";
            wants_quit_ = true;
            return;
        default: out_ += "250 ok\r\n"; return;
    }
}

std::size_t Intake::take_content(std::string_view input) {
    std::string& content = mail_->content;
    const std::size_t before = content.size();
    // The end may straddle two pieces, so the search begins in what is there already.
    content.append(input);
    const std::size_t from = before < kEnd.size() ? 0 : before - (kEnd.size() - 1);
    const void* end = ::memmem(content.data() + from, content.size() - from, kEnd.data(), kEnd.size());
    if (end == nullptr) {
        const bool is_empty_message = content.starts_with(kEnd.substr(2));
        if (!is_empty_message) return input.size();
        content.resize(3);
    } else {
        content.resize(static_cast<std::size_t>(static_cast<const char*>(end) - content.data()) + kEnd.size());
    }
    const std::size_t used = content.size() - before;
    on_end_of_data();
    return used;
}

void Intake::on_end_of_data() {
    state_ = State::Syncing;
    mail_->number = shard_.next_number();
    shard_.log().append(shard_.loop().shard(), mail_, [session = shared_from_this()] { session->on_synced(); });
}

void Intake::on_synced() {
    shard_.enqueue(std::exchange(mail_, std::make_shared<Mail>()));
    if (self_ == nullptr) return;  // the client has gone
    state_ = State::Command;
    out_ += "250 queued\r\n";
    const std::string held = std::exchange(held_, {});
    consume(held);
}

Delivery::Delivery(Shard& shard, const Endpoint& to) : shard_(shard) {
    stream_ = shard_.loop().connect({.peer = to}, *this);
}

void Delivery::on_closed(const CloseReason& reason) {
    // The sink ends when it has counted enough; anything else shows in the count.
    fmt::print(stderr, "bare_forwarder: a connection to the sink ended: {}\n", reason.text);
    state_ = State::Greeting;
}

void Delivery::on_data(std::string_view octets) {
    while (!octets.empty()) {
        const std::size_t end = octets.find('\n');
        if (end == std::string_view::npos) {
            partial_.append(octets);
            return;
        }
        std::string_view line = octets.substr(0, end + 1);
        if (!partial_.empty()) {
            partial_.append(line);
            line = partial_;
        }
        octets.remove_prefix(end + 1);
        if (line.size() < 4 || line[3] != '-') on_reply(line.front(), line);
        partial_.clear();
    }
}

void Delivery::on_reply(char first_digit, std::string_view line) {
    if (first_digit != '2' && first_digit != '3') {
        fmt::print(stderr, "bare_forwarder: the sink refused: {}", line);
        std::_Exit(1);
    }
    switch (state_) {
        case State::Greeting: state_ = State::Ehlo; return stream_->write("EHLO bare\r\n");
        case State::Ehlo: return next();
        case State::Idle: return;
        case State::Envelope: {
            if (--replies_left_ > 0) return;
            state_ = State::Content;
            const auto signature = std::make_shared<const std::string>(shard_.sign(mail_->content));
            const std::array pieces{WritePiece{*signature, signature}, WritePiece{kReceived, mail_},
                                    WritePiece{mail_->content, mail_}};
            return stream_->write(std::span(pieces).subspan(signature->empty() ? 1 : 0));
        }
        case State::Content: shard_.log().append_done(mail_->number); return next();
    }
}

void Delivery::next() {
    mail_.reset();
    state_ = State::Idle;
    if (std::shared_ptr<const Mail> mail = shard_.take()) return deliver(std::move(mail));
    shard_.set_idle(*this);
}

void Delivery::deliver(std::shared_ptr<const Mail> mail) {
    mail_ = std::move(mail);
    state_ = State::Envelope;
    replies_left_ = mail_->recipients + 2;
    const std::array pieces{WritePiece{mail_->envelope, mail_}, WritePiece{"DATA\r\n", mail_}};
    stream_->write(pieces);
}

}  // namespace postfleet::bench
