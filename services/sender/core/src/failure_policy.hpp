// Failure policy: what becomes of a recipient, its queue and its session after an attempt. The only place
// that decides soft or hard (STYLE, Errors).
//
// One table: phase × how it ended × reply → disposition, effect on the queue, effect on the session. The
// first row that fits counts; every case fits one. Then the retry list and the expiry say when a deferred
// recipient goes again.
//
// Threads: pure functions. Time comes in as an argument.
#pragma once

#include <cstdint>
#include <span>

#include "postfleet/mail/event.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/smtp/client_session.hpp"
#include "reply_rules.hpp"

namespace postfleet::sender {

enum class Disposition : std::uint8_t {
    Delivered,
    Deferred,  // the attempt counts; tried again by the retry list
    NotTried,  // the attempt does not count; goes again at once, on another connection or transaction
    Bounced,
    Expired,
    Cancelled,
    RenderingFailed,  // there is no text to send, for this recipient
    Suppressed,
};

enum class QueueEffect : std::uint8_t {
    None,
    BackOff,  // connecting failed: wait, longer each time, then one probe
};

enum class SessionEffect : std::uint8_t { Keep, Close };

struct AttemptEnd {
    SmtpPhase phase = SmtpPhase::None;
    smtp::Ending ending = smtp::Ending::Replied;
    Reply reply;
    bool fresh_connection = true;  // no transaction was finished on it before
    bool touched = true;           // the server dealt with this transaction
    bool is_pipelined = false;     // commands went out before the replies to earlier ones had come
    bool others_accepted = false;  // some recipient of the same transaction was delivered
};

struct Verdict {
    Disposition disposition = Disposition::Deferred;
    QueueEffect queue = QueueEffect::None;
    SessionEffect session = SessionEffect::Keep;
    friend bool operator==(const Verdict&, const Verdict&) = default;
};

Verdict judge(const AttemptEnd& end);

// What reply patterns change of a recipient's disposition; `other_host`: some host of the destination has not
// refused or failed a moment ago. Without one skip-mx defers, so that nothing goes round in circles.
Disposition refine(Disposition disposition, const Reaction& reaction, SmtpPhase phase, bool other_host);

// When a recipient that has just failed its `attempts`-th attempt goes again: the retry list's entry (the
// last one repeats), but not after it expires, so that its expiry is told in time.
WallTime next_due(std::uint16_t attempts, std::span<const Duration> retry_after, WallTime now, WallTime expires);

// When a task gives up: expire_after from its acceptance, or the submitter's own deadline if that is earlier.
WallTime expiry_of(WallTime accepted_at, WallTime deadline, Duration expire_after);

// How long a destination rests after its `failures`-th failed connection in a row: 1 s, doubled each time, up
// to 5 minutes and never longer than the first entry of the retry list.
Duration backoff_after(std::uint32_t failures, std::span<const Duration> retry_after);
// Up to a quarter more or less, so that what failed together is not tried again together.
Duration jittered(Duration rest, std::uint64_t random);

}  // namespace postfleet::sender
