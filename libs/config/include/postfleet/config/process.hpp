// Parts of Config (config.hpp): sections that there is one of: spool, take-in, DNS, log and the like.
//
// Threads: value types.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/config/values.hpp"
#include "postfleet/mail/intake_kind.hpp"

namespace postfleet::config {

struct Spool {
    std::uint64_t min_free = 1ull << 30;               // below this, new mail is refused
    std::uint64_t max_in_flight = 64ull << 20;         // octets accepted but not yet synced
    std::uint64_t memory_for_content = 128ull << 20;   // bodies kept in memory between acceptance and delivery
    Duration remember_taken = std::chrono::hours(24);  // ids of mail that may be offered again
};

// How a sender of a cluster takes in what the broker holds for it.
struct TakeIn {
    std::uint64_t prefetch = 32ull << 20;     // octets that the broker gives before it hears of the first
    std::uint32_t max_messages = 5'000'000;   // in the spool; beyond them nothing is taken
    std::uint64_t max_octets = 100ull << 30;  // likewise, of content
    std::uint32_t queue_quota = 1'000'000;    // recipients of one queue; more go to the overflow queue
};

// The making of what goes out: signatures, 7-bit forms.
struct Rendering {
    std::uint32_t threads = 0;           // 0: as many as shards
    std::uint64_t memory = 32ull << 20;  // of what was made, for further recipients and retries
};

// Over all listeners.
struct Limits {
    std::uint32_t max_connections = 0;                 // 0: three quarters of the file descriptors
    std::uint32_t max_handshakes = 1000;               // of TLS, under way
    std::uint64_t memory_for_incoming = 256ull << 20;  // content of messages that are being received
    ArrivalRates rates;
};

struct Http {
    Endpoint address;  // /metrics, /healthz/live, /healthz/ready
    Origin origin;
};

// Notifications that senders get by mail (RFC 3464), over all queues; which ones a queue's senders get is in `shaping`.
struct DsnSettings {
    std::string from;                              // default: MAILER-DAEMON@hostname
    std::string virtual_mta;                       // VMTA or pool that they go by; empty: default_virtual_mta
    std::uint64_t max_returned_size = 64 << 10;    // of a whole message that is returned; larger ones: the header
    Duration delay_after = std::chrono::hours(4);  // from acceptance, when somebody asked to be told of a delay
    Rate max_rate{10'000, std::chrono::hours(1)}, max_rate_per_sender{1'000, std::chrono::hours(1)};
};

struct LogSettings {
    std::string path;  // empty: standard error
    LogLevel level = LogLevel::Info;
    bool attempts = true;  // one line per attempt
    bool accepted = true;  // one line per accepted message
    std::uint64_t rotate_size = 100ull << 20;
    std::uint32_t keep = 5;
};

struct Dns {
    std::vector<Endpoint> servers;  // empty: those of /etc/resolv.conf, else the root servers
    Duration timeout = std::chrono::seconds(20);
    std::uint32_t max_outstanding = 1000;
    std::string trust_anchor_file;  // empty: no DNSSEC validation
};

// Mail to any address of this domain is for us.
struct IntakeDomain {
    std::string domain;
    IntakeKind kind = IntakeKind::Bounce;
    std::string tenant = "default";
    Origin origin;
};

struct Intake {
    std::vector<IntakeDomain> domains;
    std::uint64_t max_size = 1ull << 30;  // of all that is kept
    std::uint64_t max_message_size = 10ull << 20;
};

// Where postfleet-ingest keeps mail while the broker does not take it.
struct LocalBuffer {
    std::uint64_t max_size = 0;  // 0: nowhere
};

// HTTPS requests to servers that others name: MTA-STS policies, TLS reports.
struct HttpsClient {
    std::string ca_file;  // empty: the system's
};

// Reports about TLS to the domains that ask for them (RFC 8460).
struct TlsReports {
    std::string from;
    std::string organization;  // empty: the domain of `from`
    std::string contact;       // empty: `from`
    std::string virtual_mta;   // or pool; empty: as other mail
};

}  // namespace postfleet::config
