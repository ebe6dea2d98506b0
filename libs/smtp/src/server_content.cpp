// The mail data of ServerSession: from 354 to the answer behind CRLF.CRLF, and the chunks of BDAT.
#include <algorithm>
#include <utility>

#include "postfleet/base/require.hpp"
#include "postfleet/smtp/server_session.hpp"
#include "merge_dialogue.hpp"
#include "server_replies.hpp"

namespace postfleet::smtp {
namespace {

// At most this much input is scanned before a full chunk is looked for, so the chunk that is being filled
// never holds more than kContentChunkOctets + 2 × kScanOctets + 2.
constexpr std::size_t kScanOctets = 64 * 1024;
constexpr std::size_t kFullCapacity = kContentChunkOctets + kScanOctets;

}  // namespace

void ServerSession::begin_content(Framing framing) {
    scanner_ = DataScanner(settings_->line_ends, framing);
    received_octets_ = 0;
    chunks_sent_ = 0;
    header_inspected_ = content_ended_ = false;
    content_refusal_.reset();
}

void ServerSession::release_content() {
    std::string().swap(content_);
    policy_.may_hold_content(0);
    content_refusal_.reset();
}

std::size_t ServerSession::take_content(std::string_view input, std::string& out) {
    const std::string_view part = input.substr(0, kScanOctets);
    if (!content_refusal_) reserve_content(part.size());
    const DataScanner::Progress progress = scanner_.scan(part, content_);
    received_octets_ += progress.consumed;
    content_ended_ = progress.ended;
    check_content();
    if (!content_refusal_ && content_.size() > kContentChunkOctets) send_chunk();
    if (question_ != Question::None) return progress.consumed;
    if (content_ended_) {
        end_of_content(out);
    } else if (content_refusal_ && is_far_too_much()) {
        append_reply(out, *content_refusal_);
        close_with({}, out);
    }
    return progress.consumed;
}

void ServerSession::bdat(std::string_view argument, std::string& out) {
    const auto chunk = parse_chunk_argument(argument);
    if (!chunk) {
        policy_.on_refusal(Refusal::Syntax);
        return close_with(kBadChunk, out);
    }
    chunk_left_ = chunk->octets;
    chunk_is_last_ = chunk->is_last;
    chunk_misplaced_ = misplaced_chunk();
    if (merge_) merge_->chunk_answer.clear();
    if (merge_ && answer_withheld(merge_->chunk_answer)) chunk_misplaced_ = merge_->chunk_answer;
    before_chunk_ = std::exchange(state_, State::Chunk);
    if (!chunk_misplaced_.empty()) {
        received_octets_ = 0;
    } else {
        if (before_chunk_ != State::BetweenChunks) begin_content(Framing::Octets);
        declared_octets_ = std::max(declared_octets_, chunk_left_);
        // Known before it comes.
        const std::uint64_t limit = settings_->max_message_octets;
        if (!content_refusal_ && (chunk_left_ > limit || received_octets_ > limit - chunk_left_)) refuse_too_big();
    }
    content_ended_ = chunk_left_ == 0;
    if (content_ended_) end_of_chunk(out);
}

// What to say behind a chunk that is not part of a transaction; empty if it is.
std::string_view ServerSession::misplaced_chunk() const {
    switch (state_) {
        case State::BetweenChunks: return {};
        case State::Start: return kNeedHello;
        case State::Mail:
        case State::Rcpt:
            if (is_merging()) return kNeedParts;
            if (recipients_ > 0) return {};
            return refused_recipients_ > 0 ? kNoValidRecipients : kNeedRcpt;
        case State::BetweenParts: return kNeedParts;
        case State::Ready:
        case State::Opening:
        case State::Body:
        case State::Chunk:
        case State::Refused:
        case State::Securing:
        case State::Auth:
        case State::Closed: break;
    }
    return kNeedMail;
}

std::size_t ServerSession::take_chunk(std::string_view input, std::string& out) {
    const std::string_view part = input.substr(0, std::min<std::uint64_t>(kScanOctets, chunk_left_));
    chunk_left_ -= part.size();
    received_octets_ += part.size();
    content_ended_ = chunk_left_ == 0;
    if (chunk_misplaced_.empty()) {
        if (!content_refusal_) reserve_content(part.size());
        scanner_.scan(part, content_);
        check_content();
        if (!content_refusal_ && content_.size() > kContentChunkOctets) send_chunk();
        if (question_ != Question::None) return part.size();
    }
    if (content_ended_) {
        end_of_chunk(out);
    } else if (is_far_too_much() && !chunk_misplaced_.empty()) {
        close_with(chunk_misplaced_, out);
    } else if (is_far_too_much() && content_refusal_) {
        append_reply(out, *content_refusal_);
        close_with({}, out);
    }
    return part.size();
}

// After a chunk that was refused, so are the ones behind it, which may be on their way already, until LAST or RSET.
void ServerSession::end_of_chunk(std::string& out) {
    if (!chunk_misplaced_.empty()) {
        state_ = before_chunk_;
        // Behind a refused MAIL or refused recipients a pipelining client has done nothing wrong.
        const bool was_pipelined = state_ == State::Ready && follows_refused_mail(Verb::Bdat);
        if (chunk_misplaced_ == kNoValidRecipients || was_pipelined) out.append(chunk_misplaced_);
        else mistake(Refusal::Sequence, chunk_misplaced_, out);
        return draining_ ? drain(out) : void();
    }
    if (chunk_is_last_) {
        scanner_.finish(content_);
        check_content();
        // Its line end may have been one too many for the last chunk; then this runs again when the other one is stored.
        if (!content_refusal_ && content_.size() > kContentChunkOctets) send_chunk();
        return question_ == Question::None ? end_of_data(out) : void();
    }
    state_ = State::BetweenChunks;
    if (content_refusal_) answer_refusal(Reply(*content_refusal_), out);
    else out.append(kOk);
}

// Refused long ago, and still coming: a client that behaves has had its answer by now.
bool ServerSession::is_far_too_much() const { return received_octets_ / 2 > settings_->max_message_octets; }

void ServerSession::reserve_content(std::size_t arriving) {
    if (content_.size() + arriving <= content_.capacity()) return;
    // A message mostly comes in one read, or says its size: then it is allocated once, and fits. A
    // declared size is not believed beyond what one read may cost anyway.
    const std::size_t needed = content_.size() + arriving;
    std::size_t wanted = std::max(needed, 2 * content_.capacity());
    if (content_.empty()) {
        wanted =
            std::max(arriving, static_cast<std::size_t>(std::min<std::uint64_t>(declared_octets_ + 2, kScanOctets)));
    } else if (needed * 2 > kContentChunkOctets) {
        wanted = std::max(kFullCapacity, needed);
    }
    if (policy_.may_hold_content(wanted)) content_.reserve(wanted);
    else refuse_content({451, {4, 3, 2}, "Too much mail at once, try later"});
}

void ServerSession::check_content() {
    check_line_ends();
    if (content_refusal_) return;
    if (chunks_sent_ * std::uint64_t{kContentChunkOctets} + content_.size() > settings_->max_message_octets) {
        refuse_too_big();
    }
}

void ServerSession::refuse_too_big() {
    policy_.on_refusal(Refusal::TooBig);
    refuse_content({552, {5, 3, 4}, "Message too big"});
}

void ServerSession::check_line_ends() {
    if (content_refusal_) return;
    switch (scanner_.flaw()) {
        case DataScanner::Flaw::None: break;
        case DataScanner::Flaw::BareCr:
            policy_.on_refusal(Refusal::BadLineEnds);
            return refuse_content({550, {5, 5, 2}, "Bare <CR> in the message; lines end in <CR><LF>"});
        case DataScanner::Flaw::BareLf:
            policy_.on_refusal(Refusal::BadLineEnds);
            return refuse_content({550, {5, 5, 2}, "Bare <LF> in the message; lines end in <CR><LF>"});
        case DataScanner::Flaw::Nul:
            policy_.on_refusal(Refusal::NulOctet);
            return refuse_content({550, {5, 6, 0}, "NUL octet in the message"});
    }
}

// The rest of the data is read and dropped: an answer before its end would not be heard.
void ServerSession::refuse_content(Reply reply) {
    scanner_.discard();
    std::string().swap(content_);
    policy_.may_hold_content(0);
    content_refusal_ = std::move(reply);
}

bool ServerSession::inspect_header() {
    if (std::exchange(header_inspected_, true)) return true;
    Decision decision = policy_.on_header(content_);
    if (decision.kind == Decision::Kind::Accept) return true;
    require(decision.kind == Decision::Kind::Refuse);
    refuse_content(std::move(decision.reply));
    return false;
}

void ServerSession::send_chunk() {
    if (!inspect_header() || content_.size() <= kContentChunkOctets) return;
    std::string next;
    next.reserve(kFullCapacity);
    next.append(content_, kContentChunkOctets);
    content_.resize(kContentChunkOctets);
    auto chunk = std::make_shared<const std::string>(std::exchange(content_, std::move(next)));
    Decision decision = policy_.on_chunk(std::move(chunk), chunks_sent_++);
    if (decision.kind == Decision::Kind::Wait) question_ = Question::Chunk;
    else if (decision.kind == Decision::Kind::Refuse) refuse_content(std::move(decision.reply));
}

void ServerSession::finish_chunk(Decision&& decision, std::string& out) {
    if (decision.kind == Decision::Kind::Refuse) refuse_content(std::move(decision.reply));
    if (!content_ended_) return;
    if (state_ == State::Chunk) end_of_chunk(out);
    else end_of_content(out);
}

void ServerSession::end_of_content(std::string& out) {
    if (is_merging()) end_of_part(out);
    else end_of_data(out);
}

void ServerSession::end_of_data(std::string& out) {
    if (!content_refusal_) inspect_header();
    if (content_refusal_) {
        const Reply reply = *std::exchange(content_refusal_, std::nullopt);
        abandon();
        finish_data(Decision::refuse(reply), out);
        return;
    }
    ContentEnd end;
    end.chunks = chunks_sent_ + 1;
    end.size_octets = chunks_sent_ * std::uint64_t{kContentChunkOctets} + content_.size();
    end.has_leading_dots = scanner_.has_leading_dots();
    end.has_eight_bit = scanner_.has_eight_bit();
    if (is_merging()) {
        end.has_leading_dots |= merge_->has_leading_dots;
        end.has_eight_bit |= merge_->has_eight_bit;
        end.parts = std::move(merge_->parts);
    }
    end.last_chunk = std::exchange(content_, {});
    policy_.may_hold_content(0);
    Decision decision = policy_.on_end_of_data(std::move(end));
    if (decision.kind == Decision::Kind::Wait) question_ = Question::EndOfData;
    else finish_data(std::move(decision), out);
}

void ServerSession::finish_data(Decision&& decision, std::string& out) {
    in_transaction_ = false;
    end_merge();
    state_ = State::Ready;
    if (decision.kind == Decision::Kind::Accept) {
        ++messages_;
        errors_ = idle_commands_ = 0;
        if (decision.reply.code != 0) append_reply(out, decision.reply);
        else out.append(kQueued);
    } else {
        answer_refusal(decision.reply, out);
    }
    if (draining_) drain(out);
}

}  // namespace postfleet::smtp
