// Message, Task, Recipient: the data model of accepted mail (docs/GLOSSARY.md, DESIGN "Words").
//
//   Message    envelope facts and content, immutable after acceptance; stored once
//   Task       the recipients of one message that share domain, virtual MTA, reverse-path, rendered
//              bytes and due time: what a sender schedules. Splits when results differ
//   Recipient  one forward-path with its own attempts and last reply
//
// Content is octets as on the wire after dot-unstuffing: CRLF line ends, header and body. It may come in
// numbered chunks (0 … content_chunks - 1); everything but the last chunk is kContentChunkOctets long.
// `prepended_header` (Received and whatever else we add) goes before chunk 0 on the wire and is not part
// of the content. Domains are lower-case A-labels; local parts are kept as received.
//
// Every stored form is versioned (docs/SPOOL_FORMAT.md). Threads: value types; Message is shared immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/id.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/mail/merge.hpp"
#include "postfleet/mail/reply.hpp"

namespace postfleet {

inline constexpr std::size_t kContentChunkOctets = 256 * 1024;

// Immutable octets that several readers share: the session that took them in, the spool's writer, the
// delivery. shared_ptr because the last of them, whichever it is, frees it.
using SharedOctets = std::shared_ptr<const std::string>;

enum class BodyType : std::uint8_t { SevenBit = 0, EightBitMime = 1, BinaryMime = 2 };
// RET (RFC 3461 §4.3): how much of the message a failure report returns.
enum class ReturnContent : std::uint8_t { NotGiven = 0, Full = 1, Headers = 2 };
enum class Priority : std::uint8_t { High = 0, Normal = 1, Low = 2 };
inline constexpr std::size_t kPriorities = 3;

// What the submitter wants of TLS on the way (RFC 8689): nothing said; verified TLS at every hop or no delivery
// (REQUIRETLS); delivery even where the recipient's TLS policy cannot be kept (TLS-Required: No).
enum class TlsWish : std::uint8_t { NotGiven = 0, Required = 1, Waived = 2 };

// BY (RFC 2852): when mail has not come by `time`, Return ends it (it is the message's expiry, too), Notify has it
// reported as delayed and goes on. `trace`: who passes it on reports that it did.
struct DeliverBy {
    enum class Mode : std::uint8_t { Return = 0, Notify = 1 };
    WallTime time{};
    Mode mode = Mode::Return;
    bool trace = false;
    friend bool operator==(const DeliverBy&, const DeliverBy&) = default;
};

// When mail may be tried (X-Schedule); [begin, end).
struct DeliveryWindow {
    WallTime begin{}, end{};
    friend bool operator==(const DeliveryWindow&, const DeliveryWindow&) = default;
};

// MT-PRIORITY (RFC 6710 §5): our three levels out of its nineteen.
inline constexpr std::int8_t kLowestMtPriority = -9, kHighestMtPriority = 9;
constexpr Priority priority_of(std::int8_t mt_priority) {
    return mt_priority < 0 ? Priority::Low : mt_priority > 0 ? Priority::High : Priority::Normal;
}

// Template mail: which template, and the variables of this message (JSON). Empty name: ordinary mail.
struct TemplateReference {
    std::string name;
    std::uint32_t version = 0;
    std::string variables;
    friend bool operator==(const TemplateReference&, const TemplateReference&) = default;
};

struct Message {
    MessageId id;
    WallTime accepted_at{};
    std::optional<WallTime> send_at;     // scheduled mail; expiry counts from it
    std::optional<WallTime> expires_at;  // the submitter's own deadline, if given
    std::string reverse_path;            // "user@domain", empty for <>
    std::string envelope_id;             // ENVID (RFC 3461 §4.4), decoded, or X-EnvID
    ReturnContent return_content = ReturnContent::NotGiven;
    TlsWish tls_wish = TlsWish::NotGiven;
    std::optional<DeliverBy> deliver_by;
    std::vector<DeliveryWindow> windows;     // in order, apart from one another; empty: always
    std::optional<std::int8_t> mt_priority;  // as given, to be passed on
    std::string tenant = "default";
    std::string job;
    std::string user;            // authenticated user, if any
    std::string listener;        // where it came in
    std::string client_address;  // printable; empty when it did not come over a socket
    std::string server_address;  // of ours that the client reached; empty when it did not come over a socket
    std::string helo;
    std::string pool;  // the pool it was bound to; empty when bound to a VMTA by name
    Priority priority = Priority::Normal;
    BodyType body_type = BodyType::SevenBit;
    bool smtputf8 = false;          // the header or the reverse-path has UTF-8 (RFC 6531)
    bool has_leading_dots = true;   // some line of content starts with "."; false lets delivery skip the scan
    bool has_long_lines = false;    // or may have, of more than 998 octets; to be rewritten before it is sent
    std::uint64_t size_octets = 0;  // content only
    std::uint32_t content_chunks = 1;
    std::string prepended_header;
    std::string dkim_options;       // X-DKIM-Options, where it is honoured
    std::string header_from;        // as found, for events; capped
    std::string header_message_id;  // with the angle brackets, for events
    std::string header_subject;     // raw, capped, for events
    // Values of headers that reports show, by lower-case name; capped.
    std::vector<std::pair<std::string, std::string>> recorded_headers;
    TemplateReference template_reference;
    MergeText merge;
    bool verp = false;  // each recipient's copy has a reverse-path with its address in it
    std::vector<std::pair<std::string, std::string>> metadata;
    friend bool operator==(const Message&, const Message&) = default;
};

// NOTIFY (RFC 3461 §4.1), as bits of Recipient::notify.
inline constexpr std::uint8_t kNotifyNever = 1, kNotifySuccess = 2, kNotifyFailure = 4, kNotifyDelay = 8;

struct Recipient {
    std::uint32_t index = 0;     // within the message; recipient id = message id + index
    std::string address;         // forward-path "user@domain"
    std::uint16_t attempts = 0;  // finished attempts so far
    std::uint16_t delayed_notices = 0;
    std::optional<Reply> last_reply;
    std::string last_mx;      // host that gave it
    std::string original;     // ORCPT (RFC 3461 §4.2): "rfc822;user@domain", decoded
    std::uint8_t notify = 0;  // kNotify… bits; 0: not given
    MergeVariables variables;
    friend bool operator==(const Recipient&, const Recipient&) = default;
};

struct TaskKey {
    MessageId message;
    std::uint32_t number = 0;
    friend auto operator<=>(const TaskKey&, const TaskKey&) = default;
};

struct Task {
    TaskKey key;
    WallTime due{};
    WallTime accepted_at{};  // the message's, or its send_at: expiry counts from it without a second read
    std::optional<WallTime> expires_at;
    std::optional<WallTime> notice_at;  // when the sender is to be told that it is late, if it still waits then
    std::string domain;
    std::string virtual_mta;
    std::string pool;
    std::string tenant = "default";
    std::string job;
    Priority priority = Priority::Normal;
    bool waives_tls_policy = false;  // the message's TlsWish::Waived, without a second read
    std::uint8_t reroutes = 0;       // since it was last tried
    std::uint64_t size_octets = 0;
    std::vector<Recipient> recipients;
    friend bool operator==(const Task&, const Task&) = default;
};

// What enters through an ingest edge, ready to be made durable.
struct AcceptedMessage {
    std::shared_ptr<const Message> message;
    std::vector<Task> tasks;
    SharedOctets last_chunk;  // chunk content_chunks - 1; the ones before were appended already
    // Where the same may be offered again (a broker gives it out twice, an application submits it twice under one key):
    // the id under which it is taken once, mostly the message's. The second one is answered like the first, and dropped.
    std::optional<MessageId> taken_as;
};

}  // namespace postfleet
