// compose: a delivery status notification as it goes out (RFC 3461 §6, 3462, 3464, 6522, 6533, 3834).
//
//   multipart/report
//   ├ text/plain                    what failed, for whom, why in the remote's words, what can be done
//   ├ message/delivery-status       the same for programs; message/global-delivery-status for a UTF-8 sender
//   └ text/rfc822-headers           the header of the message; message/rfc822, the whole of it, by RET=FULL;
//                                   message/global-headers, message/global where its header is UTF-8
//
// It is 7-bit clean, so that every server takes it, but for two cases: a sender whose address is UTF-8 (it needs
// SMTPUTF8 anyway, and gets UTF-8 throughout), and a whole message in 8bit, which is returned as it was and can be
// made 7bit on the way. What can be neither is returned as its header alone.
//
// Nothing that came from outside (addresses, replies, ENVID, Message-ID, Subject) can begin a line or a part of its
// own: control octets become "?", long texts are folded, and the boundary is made of the notification's id.
//
// Threads: a pure function. Time and ids come in as arguments. Errors: none. Units: octets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/id.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/mail/bounce_category.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/mail/reply.hpp"

namespace postfleet::dsn {

// RFC 3464 §2.3.3. Postfleet delivers into no mailbox, so nothing is ever "delivered" or "expanded" by it.
enum class Action : std::uint8_t { Failed, Delayed, Relayed };
const char* to_string(Action action);  // "failed"

// What became of one recipient.
struct RecipientStatus {
    Action action = Action::Failed;
    bool has_expired = false;                // Failed, because it took too long
    bool is_late = false;                    // Delayed, because the time that the submitter gave has passed (RFC 2852)
    std::string address;                     // forward-path
    std::string original;                    // ORCPT "rfc822;user@domain", decoded; empty: not given
    std::optional<Reply> reply;              // the last one that anybody gave
    std::string remote_host;                 // who gave it; empty: we ourselves
    std::optional<BounceCategory> category;  // Failed: what kind of refusal it was
    std::uint16_t attempts = 0;
    std::optional<WallTime> will_retry_until;  // Delayed
    friend bool operator==(const RecipientStatus&, const RecipientStatus&) = default;
};

struct Notification {
    MessageId id;  // of the notification
    WallTime now{};
    std::string_view reporting_host;  // our name
    std::string_view from;            // the mailbox that it comes from: "MAILER-DAEMON@mta.example"
    const Message& message;           // whose sender is told
    // The message from its first octet on, or as much as is at hand: at least the header. Empty: it cannot be read.
    std::string_view content;
    std::uint64_t max_returned_octets = 0;           // of a whole message; a larger one is returned as its header
    const std::vector<RecipientStatus>& recipients;  // at least one
};

struct Composed {
    std::string content;
    std::string subject, message_id;
    bool is_eight_bit = false;
    bool needs_smtputf8 = false;
    bool has_leading_dots = false;
};

// What a notification about these is as a whole: the worst.
Action worst_action(const std::vector<RecipientStatus>& recipients);

Composed compose(const Notification& notification);

// "5.1.1": the enhanced status of the reply in the class that the action has (RFC 3464 §2.3.4).
EnhancedStatus status_of(const RecipientStatus& recipient);

}  // namespace postfleet::dsn
