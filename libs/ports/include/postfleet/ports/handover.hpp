// Handover (port): where ingest puts a message so that it is durable: point A of DESIGN section 4.
//
// Standalone: the sender's take-in, which commits to the spool and schedules. Cluster: a confirmed publish.
//
//  * hand_over() completes with ok only when the message survives a crash; only then may 250 be said.
//  * on any error nothing was accepted, except DeadlineExceeded (unknown).
//  * admission() is cheap and may be asked before every transaction: it says no early, before the client
//    has sent its message for nothing.
//
// Threads: thread-safe; completions run on the executor named. Errors: as Spool.
#pragma once

#include <string>

#include "postfleet/base/executor.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet {

struct Admission {
    bool open = true;
    bool space_low = false;  // 452 4.3.1 instead of 451 4.3.0
    std::string reason;      // for people
};

class Handover {
public:
    virtual ~Handover() = default;
    virtual Admission admission() const = 0;
    // Whether a message of this id was handed over and is not finished: what somebody who lost the answer asks
    // before offering it again.
    virtual void holds(MessageId id, Completion<Result<bool>> done) = 0;
    virtual void hand_over(AcceptedMessage message, Completion<Status> done) = 0;
    virtual void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) = 0;
    virtual void discard_content(MessageId id, std::uint32_t chunks) = 0;
};

}  // namespace postfleet
