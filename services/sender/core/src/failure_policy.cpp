#include "failure_policy.hpp"

#include <algorithm>
#include <array>

#include "postfleet/base/require.hpp"

namespace postfleet::sender {

namespace {

using smtp::Ending;

enum class Phases : std::uint8_t { Any, Resolve, Opening, Rcpt, EndOfData, Envelope, Transaction };
enum class Answer : std::uint8_t { Any, Positive, Transient, Permanent, TooManyRecipients, Closing };
enum class When : std::uint8_t { Always, ReusedAndUntouched, Pipelined, OthersAccepted };

struct Row {
    Ending ending;
    Phases phases;
    Answer answer;
    When when;
    Verdict verdict;
};

constexpr auto kDelivered = Disposition::Delivered;
constexpr auto kDeferred = Disposition::Deferred;
constexpr auto kNotTried = Disposition::NotTried;
constexpr auto kBounced = Disposition::Bounced;
constexpr auto kNone = QueueEffect::None;
constexpr auto kBackOff = QueueEffect::BackOff;
constexpr auto kKeep = SessionEffect::Keep;
constexpr auto kClose = SessionEffect::Close;

constexpr std::array kTable{
    // Before a session is open. A 5xx greeting speaks of the host, not of the recipient (RFC 5321 §3.1), and
    // another host or another day may take the mail.
    Row{Ending::Refused, Phases::Resolve, Answer::Permanent, When::Always, {kBounced, kNone, kClose}},
    Row{Ending::Replied, Phases::Opening, Answer::Any, When::Always, {kDeferred, kBackOff, kClose}},
    Row{Ending::Lost, Phases::Opening, Answer::Any, When::Always, {kDeferred, kBackOff, kClose}},
    Row{Ending::Refused, Phases::Opening, Answer::Any, When::Always, {kDeferred, kBackOff, kClose}},  // TLS policy
    Row{Ending::Garbage, Phases::Opening, Answer::Any, When::Always, {kDeferred, kBackOff, kClose}},

    // A server may close between two transactions, and we learn of it only by the next one: nothing was
    // tried. On a fresh connection it counts, or a server that always does it would spin us.
    Row{Ending::Lost, Phases::Transaction, Answer::Any, When::ReusedAndUntouched, {kNotTried, kNone, kClose}},
    Row{Ending::Replied, Phases::Transaction, Answer::Closing, When::ReusedAndUntouched, {kNotTried, kNone, kClose}},
    Row{Ending::Replied, Phases::Transaction, Answer::Closing, When::Always, {kDeferred, kNone, kClose}},

    // Out of step while we pipelined: the next connection to this host does not (peer_memory.hpp), so this comes once.
    Row{Ending::Garbage, Phases::Envelope, Answer::Any, When::Pipelined, {kNotTried, kNone, kClose}},

    // Too many recipients for one transaction (RFC 5321 §4.5.3.1.10): the rest goes in the next one.
    Row{Ending::Replied, Phases::Rcpt, Answer::TooManyRecipients, When::OthersAccepted, {kNotTried, kNone, kKeep}},
    Row{Ending::Replied, Phases::Rcpt, Answer::TooManyRecipients, When::Always, {kDeferred, kNone, kKeep}},

    Row{Ending::Replied, Phases::EndOfData, Answer::Positive, When::Always, {kDelivered, kNone, kKeep}},
    Row{Ending::Replied, Phases::Transaction, Answer::Transient, When::Always, {kDeferred, kNone, kKeep}},
    Row{Ending::Replied, Phases::Transaction, Answer::Permanent, When::Always, {kBounced, kNone, kKeep}},

    // We did not try: this server cannot take this message (SIZE, SMTPUTF8), or an address is unusable.
    Row{Ending::Refused, Phases::Transaction, Answer::Permanent, When::Always, {kBounced, kNone, kKeep}},

    // A loss after the final dot may have left a copy: trying again is what RFC 1047 asks for.
    Row{Ending::Lost, Phases::Any, Answer::Any, When::Always, {kDeferred, kNone, kClose}},
    Row{Ending::Garbage, Phases::Any, Answer::Any, When::Always, {kDeferred, kNone, kClose}},
    Row{Ending::Aborted, Phases::Any, Answer::Any, When::Always, {kDeferred, kNone, kClose}},
    Row{Ending::Refused, Phases::Any, Answer::Any, When::Always, {kDeferred, kNone, kKeep}},
    Row{Ending::Replied, Phases::Any, Answer::Any, When::Always, {kDeferred, kNone, kClose}},
};

bool fits(Phases phases, SmtpPhase phase) {
    switch (phases) {
        case Phases::Any: return true;
        case Phases::Resolve: return phase == SmtpPhase::Resolve;
        case Phases::Opening: return phase >= SmtpPhase::Resolve && phase < SmtpPhase::Mail;
        case Phases::Rcpt: return phase == SmtpPhase::Rcpt;
        case Phases::EndOfData: return phase == SmtpPhase::EndOfData;
        case Phases::Envelope: return phase >= SmtpPhase::Mail && phase <= SmtpPhase::Data;
        case Phases::Transaction: return phase >= SmtpPhase::Mail && phase <= SmtpPhase::EndOfData;
    }
    return false;
}

bool fits(Answer answer, const Reply& reply) {
    // Our own words (code 0) carry their class in the enhanced status.
    const int klass = reply.code != 0 ? reply.code / 100 : reply.enhanced.klass;
    switch (answer) {
        case Answer::Any: return true;
        case Answer::Positive: return klass == 2;
        case Answer::Transient: return klass == 4;
        case Answer::Permanent: return klass == 5;
        // 552 was the code for this before RFC 2821, and still is here and there.
        case Answer::TooManyRecipients:
            return reply.code == 452 ? !reply.enhanced || reply.enhanced.subject == 5
                                     : reply.code == 552 && (!reply.enhanced || reply.enhanced.subject == 5);
        case Answer::Closing: return reply.code == 421;
    }
    return false;
}

bool fits(When when, const AttemptEnd& end) {
    switch (when) {
        case When::Always: return true;
        case When::ReusedAndUntouched: return !end.fresh_connection && !end.touched;
        case When::Pipelined: return end.is_pipelined;
        case When::OthersAccepted: return end.others_accepted;
    }
    return false;
}

}  // namespace

Verdict judge(const AttemptEnd& end) {
    for (const Row& row : kTable) {
        if (row.ending == end.ending && fits(row.phases, end.phase) && fits(row.answer, end.reply) &&
            fits(row.when, end)) {
            return row.verdict;
        }
    }
    require(false);  // the last rows fit everything
    return {};
}

Disposition refine(Disposition disposition, const Reaction& reaction, SmtpPhase phase, bool other_host) {
    const bool goes_again = disposition == Disposition::Deferred || disposition == Disposition::NotTried;
    if (!goes_again && disposition != Disposition::Bounced) return disposition;
    if (reaction.bounce_queue) return Disposition::Bounced;
    if (reaction.skip_host) return other_host ? Disposition::NotTried : Disposition::Deferred;
    if (reaction.defer_recipient && disposition == Disposition::Bounced) return Disposition::Deferred;
    if (reaction.bounce_recipient && phase == SmtpPhase::Rcpt && goes_again) return Disposition::Bounced;
    return disposition;
}

WallTime next_due(std::uint16_t attempts, std::span<const Duration> retry_after, WallTime now, WallTime expires) {
    require(attempts > 0 && !retry_after.empty());
    const std::size_t entry = std::min<std::size_t>(attempts, retry_after.size()) - 1;
    const WallTime due = now + std::chrono::ceil<WallTime::duration>(retry_after[entry]);
    return std::min(due, expires);
}

WallTime expiry_of(WallTime accepted_at, WallTime deadline, Duration expire_after) {
    return std::min(deadline, accepted_at + std::chrono::floor<WallTime::duration>(expire_after));
}

Duration backoff_after(std::uint32_t failures, std::span<const Duration> retry_after) {
    constexpr Duration kLongest = std::chrono::minutes(5);
    Duration rest = std::chrono::seconds(1);
    for (std::uint32_t i = 1; i < failures && rest < kLongest; ++i) rest *= 2;
    rest = std::min(rest, kLongest);
    return retry_after.empty() ? rest : std::min(rest, retry_after.front());
}

Duration jittered(Duration rest, std::uint64_t random) {
    constexpr std::uint64_t kSteps = 1024;
    return rest - rest / 4 +
           rest / 2 * static_cast<Duration::rep>(random % kSteps) / static_cast<Duration::rep>(kSteps);
}

}  // namespace postfleet::sender
