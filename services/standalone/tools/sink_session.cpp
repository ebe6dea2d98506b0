#include "sink_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "postfleet/base/text.hpp"
#include "provider_replies.hpp"

namespace postfleet::tools {

namespace {

constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kMaxHead = 16 * 1024;  // where the id header is looked for
constexpr std::size_t kGarbageOctets = 200;

constexpr std::uint32_t verb(std::string_view name) {
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const char c = i < name.size() ? name[i] : ' ';
        code = (code << 8) | static_cast<std::uint8_t>(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    return code;
}

// The octets between the first '<' and its '>'; without brackets, what follows the colon.
std::string_view path_of(std::string_view line) {
    const std::size_t open = line.find('<');
    if (open != std::string_view::npos) {
        const std::size_t close = line.find('>', open);
        return close == std::string_view::npos ? std::string_view() : line.substr(open + 1, close - open - 1);
    }
    const std::size_t colon = line.find(':');
    return colon == std::string_view::npos ? std::string_view() : trim(line.substr(colon + 1));
}

std::uint64_t declared_size(std::string_view line) {
    const std::size_t at = to_ascii_lower(line).rfind(" size=");
    if (at == std::string_view::npos) return 0;
    std::uint64_t size = 0;
    std::from_chars(line.data() + at + 6, line.data() + line.size(), size);
    return size;
}

int code_of(std::string_view reply) {
    int code = 0;
    std::from_chars(reply.data(), reply.data() + std::min<std::size_t>(3, reply.size()), code);
    return code;
}

// The value of a header field at the start of a line, without folding; empty if it is not there.
std::string_view header_value(std::string_view head, std::string_view name) {
    while (!head.empty()) {
        const std::size_t end = std::min(head.find('\n'), head.size() - 1);
        const std::string_view line = head.substr(0, end + 1);
        if (line == "\r\n" || line == "\n") break;
        if (line.size() > name.size() && line[name.size()] == ':' && ascii_istarts_with(line, name)) {
            return trim(line.substr(name.size() + 1));
        }
        head.remove_prefix(end + 1);
    }
    return {};
}

}  // namespace

SinkSession::SinkSession(SinkShard& shard, std::unique_ptr<Stream> stream)
    : shard_(shard),
      shared_(shard.shared()),
      stream_(std::move(stream)),
      remote_(stream_->remote()),
      number_(shared_.next_connection.fetch_add(1, std::memory_order_relaxed)) {
    stream_->set_handler(*this);
}

SinkSession::~SinkSession() {
    if (timer_) shard_.loop().cancel(timer_);
    if (is_let_in_) shared_.provider->disconnect(remote_.address);
}

// By the provider, because of the connections that this address has.
bool SinkSession::is_turned_away() {
    if (shared_.provider == nullptr) return false;
    const std::string_view reply = shared_.provider->connect(remote_.address);
    is_let_in_ = reply.empty();
    if (is_let_in_) return false;
    ++shard_.counts().over_connections;
    ++shard_.counts().refused_connections;
    out_ = render_reply(find_provider_reply(reply)->lines, {remote_.address, {}, {}});
    state_ = State::Over;
    return true;
}

// By the provider, because of the messages that came over this connection, or from this address.
bool SinkSession::is_too_much() {
    if (shared_.provider == nullptr) return false;
    const std::string_view reply = shared_.provider->begin_message(remote_.address, messages_, steady_clock_now());
    if (reply.empty()) {
        ++messages_;
        return false;
    }
    const bool by_connection = messages_ >= shared_.provider->limits().messages;
    ++(by_connection ? shard_.counts().over_messages : shard_.counts().over_rate);
    emit(SinkPhase::Mail, render_reply(find_provider_reply(reply)->lines, {remote_.address, from_, {}}),
         SinkFault::None);
    return true;
}

void SinkSession::start() {
    trace("connect");
    ++shard_.counts().connections;
    const std::uint64_t open = shared_.connections_now.fetch_add(1, std::memory_order_relaxed) + 1;
    if (open > shared_.options.max_connections) {
        ++shard_.counts().refused_connections;
        out_ = shared_.replies.busy;
        state_ = State::Over;
    } else if (!is_turned_away()) {
        answer(SinkPhase::Connect, shared_.replies.greeting);
    }
    consume({});
}

void SinkSession::on_closed(const CloseReason&) {
    if (has_sender_ && state_ != State::Stalled) ++shard_.counts().broken_transactions;
    trace("close");
    shard_.remove(*this);
}

void SinkSession::on_data(std::string_view octets) {
    if (state_ == State::Stalled) return;
    if (state_ == State::Waiting) {
        held_.append(octets);
        return;
    }
    consume(octets);
}

void SinkSession::consume(std::string_view input) {
    while (!input.empty() && (state_ == State::Command || state_ == State::Content || state_ == State::Chunk)) {
        input.remove_prefix(state_ == State::Content ? take_content(input)
                            : state_ == State::Chunk ? take_chunk(input)
                                                     : take_line(input));
    }
    if (state_ == State::Waiting) held_.append(input);
    send_out();
    if (state_ != State::Over) return;
    trace("close");
    stream_->close();
    shard_.remove(*this);
}

void SinkSession::send_out() {
    if (out_.empty()) return;
    stream_->write(out_);
    out_.clear();
}

std::size_t SinkSession::take_line(std::string_view input) {
    const void* newline = std::memchr(input.data(), '\n', input.size());
    if (newline == nullptr) {
        partial_.append(input);
        if (partial_.size() > kMaxLine) {
            out_ += shared_.replies.line_too_long;
            state_ = State::Over;
        }
        return input.size();
    }
    const std::size_t length = static_cast<std::size_t>(static_cast<const char*>(newline) - input.data()) + 1;
    if (!shared_.options.pipelining && length < input.size()) ++shard_.counts().violations;
    std::string_view line = input.substr(0, length);
    if (!partial_.empty()) {
        partial_.append(line);
        line = partial_;
    }
    line.remove_suffix(line.ends_with("\r\n") ? 2 : 1);
    on_command(line);
    partial_.clear();
    return length;
}

void SinkSession::on_command(std::string_view line) {
    const SinkReplies& replies = shared_.replies;
    switch (verb(line)) {
        case verb("MAIL"): return on_mail(line);
        case verb("RCPT"): return on_rcpt(line);
        case verb("DATA"):
            if (recipients_ == 0 || has_chunks_) {
                out_ += replies.bad_sequence;
                return;
            }
            return answer(SinkPhase::Data, replies.data);
        case verb("BDAT"): return on_chunk_command(line);
        case verb("EHLO"): reset_transaction(); return answer(SinkPhase::Ehlo, replies.ehlo);
        case verb("HELO"): reset_transaction(); return answer(SinkPhase::Ehlo, replies.helo);
        case verb("RSET"):
            reset_transaction();
            out_ += replies.ok;
            return;
        case verb("NOOP"): out_ += replies.ok; return;
        case verb("VRFY"): out_ += replies.vrfy; return;
        case verb("QUIT"):
            out_ += replies.bye;
            state_ = State::Over;
            return;
        default: out_ += replies.unknown; return;
    }
}

void SinkSession::on_mail(std::string_view line) {
    if (has_sender_) {
        out_ += shared_.replies.bad_sequence;
        return;
    }
    const std::uint64_t limit = shared_.options.max_message_size;
    if (limit != 0 && line.size() > 40 && declared_size(line) > limit) {
        out_ += shared_.replies.too_big;
        return;
    }
    from_ = path_of(line);
    if (is_too_much()) return;
    answer(SinkPhase::Mail, shared_.replies.mail);
}

void SinkSession::on_rcpt(std::string_view line) {
    if (!has_sender_) {
        out_ += shared_.replies.bad_sequence;
        return;
    }
    recipient_ = path_of(line);
    if (recipient_.empty()) {
        out_ += shared_.replies.bad_syntax;
        return;
    }
    if (recipients_ >= shared_.options.max_recipients) {
        ++shard_.counts().rejected_recipients;
        out_ += shared_.replies.too_many_recipients;
        return;
    }
    answer(SinkPhase::Rcpt, shared_.replies.rcpt, recipient_);
}

std::size_t SinkSession::take_content(std::string_view input) {
    const std::size_t end = scanner_.find_end(input);
    const std::string_view piece = input.substr(0, std::min(end, input.size()));
    keep(piece);
    if (end != EndOfDataScanner::npos) {
        content_octets_ -= 3;  // ".CRLF"
        kept_.resize(std::min<std::uint64_t>(kept_.size(), content_octets_));
        on_end_of_data();
    }
    return piece.size();
}

void SinkSession::keep(std::string_view piece) {
    content_octets_ += piece.size();
    const bool is_within_limit =
        shared_.options.max_message_size == 0 || content_octets_ <= shared_.options.max_message_size;
    if (shared_.store != nullptr && is_within_limit) {
        kept_.append(piece);
    } else if (!shared_.options.id_header.empty() && kept_.size() < kMaxHead) {
        kept_.append(piece.substr(0, kMaxHead - kept_.size()));
    }
}

// RFC 3030 §2: the octets come, whatever becomes of them.
void SinkSession::on_chunk_command(std::string_view line) {
    std::string_view argument = trim(line.substr(4));
    const auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), chunk_left_);
    const std::string_view rest = trim(argument.substr(static_cast<std::size_t>(end - argument.data())));
    if (error != std::errc{} || !shared_.options.chunking || (!rest.empty() && !ascii_iequals(rest, "LAST"))) {
        out_ += shared_.replies.bad_syntax;  // what follows could be anything
        state_ = State::Over;
        return;
    }
    is_last_chunk_ = !rest.empty();
    if (!std::exchange(has_chunks_, true)) content_octets_ = 0;
    state_ = State::Chunk;
    if (chunk_left_ == 0) on_end_of_chunk();
}

std::size_t SinkSession::take_chunk(std::string_view input) {
    const std::string_view piece = input.substr(0, std::min<std::uint64_t>(chunk_left_, input.size()));
    chunk_left_ -= piece.size();
    if (recipients_ > 0) keep(piece);
    if (chunk_left_ == 0) on_end_of_chunk();
    return piece.size();
}

void SinkSession::on_end_of_chunk() {
    if (recipients_ == 0) {
        state_ = State::Command;
        has_chunks_ = false;
        out_ += shared_.replies.bad_sequence;
    } else if (is_last_chunk_) {
        on_end_of_data();
    } else {
        state_ = State::Command;
        out_ += shared_.replies.ok;
    }
}

void SinkSession::on_end_of_data() {
    state_ = State::Command;
    const std::uint64_t limit = shared_.options.max_message_size;
    if (limit != 0 && content_octets_ > limit) {
        ++shard_.counts().rejected_messages;
        out_ += shared_.replies.too_big;
        return reset_transaction();
    }
    // A rule for any of the recipients concerns the message.
    if (shared_.rules->may_match(SinkPhase::EndOfData)) {
        std::string_view rest = accepted_;
        while (!rest.empty()) {
            const std::string_view one = rest.substr(0, rest.find('\0'));
            rest.remove_prefix(one.size() + 1);
            std::optional<SinkAction> action =
                shared_.rules->match(SinkPhase::EndOfData, {remote_.address, from_, one});
            if (!action) continue;
            std::string reply = action->reply.empty() ? shared_.replies.accepted : std::move(action->reply);
            return emit_later(SinkPhase::EndOfData, std::move(reply), std::move(*action));
        }
    }
    emit(SinkPhase::EndOfData, shared_.replies.accepted, SinkFault::None);
}

void SinkSession::answer(SinkPhase phase, std::string_view usual, std::string_view recipient) {
    if (shared_.rules->may_match(phase)) {
        std::optional<SinkAction> action = shared_.rules->match(phase, {remote_.address, from_, recipient});
        if (action) {
            std::string reply = action->reply.empty() ? std::string(usual) : std::move(action->reply);
            return emit_later(phase, std::move(reply), std::move(*action));
        }
    }
    emit(phase, usual, SinkFault::None);
}

void SinkSession::emit_later(SinkPhase phase, std::string reply, SinkAction action) {
    if (action.delay <= Duration::zero()) return emit(phase, reply, action.fault);
    state_ = State::Waiting;
    stream_->pause_reading();
    const SteadyTime due = steady_clock_now() + action.delay;
    timer_ = shard_.loop().schedule_at(due, [this, phase, reply = std::move(reply), fault = action.fault] {
        timer_ = TimerId{};
        state_ = State::Command;
        // The callable, and with it `reply`, lives until the timer has returned.
        emit(phase, reply, fault);
        stream_->resume_reading();
        const std::string held = std::exchange(held_, {});
        consume(held);
    });
}

void SinkSession::emit(SinkPhase phase, std::string_view reply, SinkFault fault) {
    if (fault != SinkFault::None && phase == SinkPhase::EndOfData) ++shard_.counts().unanswered_messages;
    switch (fault) {
        case SinkFault::None:
            out_ += reply;
            settle(phase, code_of(reply));
            if (reply.starts_with("421")) state_ = State::Over;
            return;
        case SinkFault::Close: state_ = State::Over; return;
        case SinkFault::Reset:
            send_out();
            stream_->abort();
            state_ = State::Over;
            return;
        case SinkFault::Garbage:
            for (std::size_t i = 0; i < kGarbageOctets; ++i) out_ += static_cast<char>(shard_.random()());
            out_ += "\r\n";
            state_ = State::Over;
            return;
        case SinkFault::HalfReply: out_ += reply.substr(0, reply.size() / 2); [[fallthrough]];
        case SinkFault::Stall: state_ = State::Stalled; return;
    }
}

void SinkSession::settle(SinkPhase phase, int code) {
    const bool is_positive = code >= 200 && code < 400;
    switch (phase) {
        case SinkPhase::Connect:
            if (!is_positive) {
                ++shard_.counts().refused_connections;
                state_ = State::Over;
            }
            return;
        case SinkPhase::Ehlo: return;
        case SinkPhase::Mail:
            has_sender_ = is_positive;
            trace("mail", "from", from_, code);
            return;
        case SinkPhase::Rcpt:
            trace("rcpt", "recipient", recipient_, code);
            if (!is_positive) {
                ++shard_.counts().rejected_recipients;
                return;
            }
            ++recipients_;
            accepted_ += recipient_;
            accepted_ += '\0';
            return;
        case SinkPhase::Data:
            trace("data", {}, {}, code);
            if (code != 354) return;
            state_ = State::Content;
            scanner_.reset();
            content_octets_ = 0;
            return;
        case SinkPhase::EndOfData:
            trace("end-of-data", {}, {}, code);
            if (is_positive) {
                accept_message();
            } else {
                ++shard_.counts().rejected_messages;
            }
            return reset_transaction();
    }
}

void SinkSession::accept_message() {
    StoredMessage message{from_, {}, {}, remote_.address, shared_.store ? wall_clock_now() : WallTime{}};
    std::string_view rest = accepted_;
    while (!rest.empty()) {
        const std::string_view one = rest.substr(0, rest.find('\0'));
        rest.remove_prefix(one.size() + 1);
        shard_.count_recipient(one);
        if (shared_.store != nullptr) message.recipients.push_back(one);
    }
    if (!shared_.options.id_header.empty()) find_id();
    if (shared_.store != nullptr) {
        message.content = kept_;
        shared_.store->add(message);
    }
    if (shared_.options.print) {
        fmt::print("{} {} <{}> {} recipients, {} octets\n", format_rfc3339(wall_clock_now()),
                   remote_.address.to_string(), printable(from_), recipients_, content_octets_);
    }
    shared_.deliveries.fetch_add(recipients_, std::memory_order_relaxed);
    shard_.count_message(content_octets_, remote_.address);
}

void SinkSession::find_id() {
    const std::string_view id = header_value(kept_, shared_.options.id_header);
    if (id.empty()) {
        ++shard_.counts().without_id;
        return;
    }
    std::string_view rest = accepted_;
    while (!rest.empty()) {
        const std::string_view one = rest.substr(0, rest.find('\0'));
        rest.remove_prefix(one.size() + 1);
        shard_.counts().deliveries.push_back(hash_delivery(id, one));
    }
    // Steady nanoseconds: the same clock for all processes of one machine.
    const std::string_view sent = header_value(kept_, "X-Load-Sent");
    std::int64_t nanoseconds = 0;
    if (std::from_chars(sent.data(), sent.data() + sent.size(), nanoseconds).ec == std::errc() && nanoseconds > 0) {
        shard_.counts().latency.add(steady_clock_now() - SteadyTime(Duration(nanoseconds)));
    }
}

void SinkSession::reset_transaction() {
    has_sender_ = false;
    recipients_ = 0;
    has_chunks_ = false;
    accepted_.clear();
    kept_.clear();
}

void SinkSession::trace(std::string_view event, std::string_view key, std::string_view text, int code) {
    if (TraceBuffer* buffer = shard_.trace()) {
        buffer->add(event, {number_, remote_.address, remote_.port}, key, text, code);
    }
}

}  // namespace postfleet::tools
