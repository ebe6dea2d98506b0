// FeedbackIntake (port): where mail for us goes: bounces, complaints and unsubscribe requests, for the feedback service.
//
//  * keep() completes with ok only when the mail survives a power loss; only then may 250 be said.
//  * on any error nothing was kept, except DeadlineExceeded (unknown).
//  * what is kept stays until somebody takes it away; kept mail is bounded, and more is refused with ResourceExhausted.
//
// Threads: thread-safe; never blocks; completions run on the executor named, never inside the call.
// Units: octets as on the wire (CRLF line ends).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/mail/intake_kind.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet {

struct MailForUs {
    struct Address {
        IntakeKind kind = IntakeKind::Bounce;
        std::string tenant;
        std::string address;  // as it was in RCPT: VERP and subaddresses are in its local part
    };
    MessageId id;
    std::string reverse_path;  // empty for <>
    std::vector<Address> recipients;
    std::string prepended_header;
    std::vector<SharedOctets> content;

    std::uint64_t octets() const {
        std::uint64_t sum = prepended_header.size();
        for (const SharedOctets& part : content) sum += part->size();
        return sum;
    }
};

class FeedbackIntake {
public:
    virtual ~FeedbackIntake() = default;
    virtual void keep(MailForUs mail, Completion<Status> done) = 0;
};

}  // namespace postfleet
