// Event: what became of one recipient, or of an operator's object, as it goes to the report sinks.
//
// One event is about one recipient. Its id is a hash of message, recipient, attempt and type, so that the
// same fact told twice has the same id. The JSON form (CloudEvents 1.0) is libs/report's work.
// Threads: a value type.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postfleet/base/id.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/mail/extensions.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/mail/reply.hpp"

namespace postfleet {

enum class EventType : std::uint8_t {
    Accepted = 1,
    Delivered = 2,
    Deferred = 3,
    Bounced = 4,
    Expired = 5,
    Suppressed = 6,
    Rejected = 7,
    RenderingFailed = 8,
    Cancelled = 9,
    Opened = 10,
    Clicked = 11,
    Unsubscribed = 12,
    Complained = 13,
    AutoReplied = 14,
    QueueBackoffEntered = 64,
    QueueBackoffLeft = 65,
    VirtualMtaDisabled = 66,
    VirtualMtaEnabled = 67,
    QueueConnectFailed = 68,
    QueueLoginRefused = 69,
};

// "email.delivered", "queue.backoff_entered"
const char* to_string(EventType type);
std::optional<EventType> parse_event_type(std::string_view name);
// Delivered, bounced, expired, suppressed, cancelled, rendering failed: the recipient is done.
bool is_terminal(EventType type);

enum class SmtpPhase : std::uint8_t {
    None,
    Resolve,
    Connect,
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Body,
    EndOfData,
    Quit
};
const char* to_string(SmtpPhase phase);  // "rcpt", "end-of-data"

struct DeliveryFacts {
    std::string mx_host;
    std::string mx_address;  // "192.0.2.1:25"
    std::string source_address;
    std::string tls;         // "TLSv1.3/TLS_AES_128_GCM_SHA256/policy/verified by"; empty: plain text
    Extensions offered = 0;  // by the server; 0: none, or it was not asked
    SmtpPhase phase = SmtpPhase::None;
    Reply reply;
    Duration elapsed{};     // this attempt, from dispatch to the final reply
    bool in_doubt = false;  // the connection was lost when the server may have taken the message (RFC 1047)
    friend bool operator==(const DeliveryFacts&, const DeliveryFacts&) = default;
};

struct BounceFacts {
    std::string type;      // "hard", "soft", "block"
    std::string category;  // PowerMTA's names: "bad-mailbox", "spam-related" …
    bool asynchronous = false;
    friend bool operator==(const BounceFacts&, const BounceFacts&) = default;
};

struct Event {
    EventId id;
    EventType type = EventType::Accepted;
    WallTime time{};
    // The message's facts, shared among the events of its recipients. Null for operator events.
    std::shared_ptr<const Message> message;
    std::uint32_t recipient_index = 0;
    std::string recipient;
    std::string original_recipient;  // ORCPT: "rfc822;user@domain"
    std::string virtual_mta;
    std::string pool;
    std::string queue;          // "site/vmta"
    std::uint16_t attempt = 0;  // counts from 1; 0 before the first
    std::optional<WallTime> next_attempt_at;
    std::optional<DeliveryFacts> delivery;
    std::optional<BounceFacts> bounce;
    std::string reason;  // why cancelled, expired, suppressed, disabled …
};

EventId make_event_id(const MessageId& message, std::uint32_t recipient_index, std::uint16_t attempt, EventType type);

}  // namespace postfleet
