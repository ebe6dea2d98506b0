#include "postfleet/mail/event.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace postfleet {
namespace {

constexpr std::array kEventTypes{
    EventType::Accepted,
    EventType::Delivered,
    EventType::Deferred,
    EventType::Bounced,
    EventType::Expired,
    EventType::Suppressed,
    EventType::Rejected,
    EventType::RenderingFailed,
    EventType::Cancelled,
    EventType::Opened,
    EventType::Clicked,
    EventType::Unsubscribed,
    EventType::Complained,
    EventType::AutoReplied,
    EventType::QueueBackoffEntered,
    EventType::QueueBackoffLeft,
    EventType::VirtualMtaDisabled,
    EventType::VirtualMtaEnabled,
    EventType::QueueConnectFailed,
    EventType::QueueLoginRefused,
};

}  // namespace

const char* to_string(EventType type) {
    switch (type) {
        case EventType::Accepted: return "email.accepted";
        case EventType::Delivered: return "email.delivered";
        case EventType::Deferred: return "email.deferred";
        case EventType::Bounced: return "email.bounced";
        case EventType::Expired: return "email.expired";
        case EventType::Suppressed: return "email.suppressed";
        case EventType::Rejected: return "email.rejected";
        case EventType::RenderingFailed: return "email.rendering_failed";
        case EventType::Cancelled: return "email.cancelled";
        case EventType::Opened: return "email.opened";
        case EventType::Clicked: return "email.clicked";
        case EventType::Unsubscribed: return "email.unsubscribed";
        case EventType::Complained: return "email.complained";
        case EventType::AutoReplied: return "email.autoreplied";
        case EventType::QueueBackoffEntered: return "queue.backoff_entered";
        case EventType::QueueBackoffLeft: return "queue.backoff_left";
        case EventType::VirtualMtaDisabled: return "virtual_mta.disabled";
        case EventType::VirtualMtaEnabled: return "virtual_mta.enabled";
        case EventType::QueueConnectFailed: return "queue.connect_failed";
        case EventType::QueueLoginRefused: return "queue.login_refused";
    }
    return "unknown";
}

std::optional<EventType> parse_event_type(std::string_view name) {
    const auto found = std::find_if(kEventTypes.begin(), kEventTypes.end(),
                                    [name](EventType type) { return name == to_string(type); });
    if (found == kEventTypes.end()) return std::nullopt;
    return *found;
}

bool is_terminal(EventType type) {
    switch (type) {
        case EventType::Delivered:
        case EventType::Bounced:
        case EventType::Expired:
        case EventType::Suppressed:
        case EventType::RenderingFailed:
        case EventType::Cancelled: return true;
        case EventType::Accepted:
        case EventType::Deferred:
        case EventType::Rejected:  // it was never accepted
        case EventType::Opened:
        case EventType::Clicked:
        case EventType::Unsubscribed:
        case EventType::Complained:
        case EventType::AutoReplied:
        case EventType::QueueBackoffEntered:
        case EventType::QueueBackoffLeft:
        case EventType::VirtualMtaDisabled:
        case EventType::VirtualMtaEnabled:
        case EventType::QueueConnectFailed:
        case EventType::QueueLoginRefused: return false;
    }
    return false;
}

const char* to_string(SmtpPhase phase) {
    switch (phase) {
        case SmtpPhase::None: return "none";
        case SmtpPhase::Resolve: return "resolve";
        case SmtpPhase::Connect: return "connect";
        case SmtpPhase::Greeting: return "greeting";
        case SmtpPhase::Ehlo: return "ehlo";
        case SmtpPhase::StartTls: return "starttls";
        case SmtpPhase::Auth: return "auth";
        case SmtpPhase::Mail: return "mail";
        case SmtpPhase::Rcpt: return "rcpt";
        case SmtpPhase::Data: return "data";
        case SmtpPhase::Body: return "body";
        case SmtpPhase::EndOfData: return "end-of-data";
        case SmtpPhase::Quit: return "quit";
    }
    return "unknown";
}

// Fixed width and byte order: the id is stored and compared across releases and machines.
EventId make_event_id(const MessageId& message, std::uint32_t recipient_index, std::uint16_t attempt, EventType type) {
    std::array<char, 23> about{};
    auto to = std::copy(message.octets.begin(), message.octets.end(), about.begin());
    for (int shift = 24; shift >= 0; shift -= 8) *to++ = static_cast<char>(recipient_index >> shift);
    *to++ = static_cast<char>(attempt >> 8);
    *to++ = static_cast<char>(attempt);
    *to = static_cast<char>(type);
    return hash_event_id(std::string_view(about.data(), about.size()));
}

}  // namespace postfleet
