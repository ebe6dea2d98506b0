// IngestCounters: what ingest counts, by name and reason, ready to be added to without a lookup.
//
// Every refusal has a reason: the session's own (smtp::Refusal) or one of Reason.
// Threads: thread-safe; made once.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "postfleet/base/metrics.hpp"
#include "postfleet/smtp/server_policy.hpp"

namespace postfleet::ingest {

enum class Reason : std::uint8_t {
    TooManyConnections,
    TooManyConnectionsOfClient,
    TooManyConnectionsInAll,   // of the process
    TooManyConnectionsOfUser,  // or of its tenant
    TooManyHandshakes,         // of TLS, under way at the same time
    NoDescriptors,             // left in the process for another connection
    ConnectionRate,            // the rates: of process, listener, client, user or tenant
    MessageRate,
    RecipientRate,
    ErrorRate,
    MemoryLow,        // too much content is being received
    ProxyNotTrusted,  // a connection from outside proxy_from
    ProxyHeader,      // none, a malformed one, or too late
    StorageLow,       // 452
    StoreBusy,        // 451: too much on its way to the disk
    NotAccepting,     // 451: latched, stopping
    RelayingDenied,
    UnknownVirtualMta,
    TooManyHops,
    HeaderTooBig,
    HeaderFieldTooBig,
    AuthRequired,      // 530
    AuthMechanism,     // not offered
    AuthFailed,        // 535
    AuthThrottled,     // failed too often: no check was made
    AuthBusy,          // too many checks under way
    AuthMalformed,     // or cancelled
    SenderNotAllowed,  // MAIL FROM, From, Sender or Resent-From of somebody else
    HeldTooLong,       // FUTURERELEASE
    MalformedMessage,  // message_checks
    OurMailTooBig,     // 552: larger than mail for us may be
    BadVariables,      // mail merge
    StoreFailed,       // the hand-over said no
    StoreTooSlow,      // no answer in time: 451, and what comes of it is counted as unanswered
};
inline constexpr std::size_t kReasons = static_cast<std::size_t>(Reason::StoreTooSlow) + 1;
const char* to_string(Reason reason);  // "relaying_denied"

struct IngestCounters {
    explicit IngestCounters(Metrics& metrics);

    void refused(smtp::Refusal refusal) { by_refusal[static_cast<std::size_t>(refusal)]->add(); }
    void refused(Reason reason) { by_reason[static_cast<std::size_t>(reason)]->add(); }

    std::array<Counter*, smtp::kRefusals> by_refusal{};
    std::array<Counter*, kReasons> by_reason{};
    // Made durable although the client was told 451 or was gone: it may send them again (promises P2, P3).
    Counter& unanswered;
    Counter& timeouts;
    Counter& tls_handshakes;
    Counter& tls_failures;  // handshakes that failed, and TLS that broke later
    Counter& lost;          // connections that ended inside a transaction
    Histogram& handover_seconds;
};

// Of one listener.
struct ListenerCounters {
    ListenerCounters(Metrics& metrics, const std::string& listener);
    Counter& connections;
    Counter& messages;
    Counter& recipients;
    Counter& octets;
};

}  // namespace postfleet::ingest
