// Parts of Config (config.hpp): how queues deliver, and what replies do: shaping rules, reply rules, bounce categories.
//
// Threads: value types.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/config/values.hpp"
#include "postfleet/mail/bounce_category.hpp"
#include "postfleet/mail/event.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::config {

// How one queue delivers: every key that a shaping rule can set, with its default (libs/shaping merges).
struct ShapingValues {
    std::uint32_t max_connections = 20;
    std::uint32_t max_messages_per_connection = 100;
    std::uint32_t max_recipients_per_transaction = 100;
    std::uint32_t max_domains_per_transaction = 1;
    Rate max_message_rate;  // attempted recipients; unlimited
    Rate max_connect_rate;  // connection attempts; unlimited
    DataRate max_data_rate;
    // Of each source address to this site, and of each address of a server, over all queues that use it.
    std::uint32_t per_source_max_connections = kUnlimited, per_destination_max_connections = kUnlimited;
    Rate per_source_max_message_rate, per_source_max_connect_rate;
    Rate per_destination_max_message_rate, per_destination_max_connect_rate;
    DataRate per_source_max_data_rate, per_destination_max_data_rate;
    FlowLimits per_source() const {
        return {per_source_max_connections, per_source_max_message_rate, per_source_max_connect_rate,
                per_source_max_data_rate};
    }
    FlowLimits per_destination() const {
        return {per_destination_max_connections, per_destination_max_message_rate, per_destination_max_connect_rate,
                per_destination_max_data_rate};
    }

    // After the nth failed attempt a recipient waits for the nth; the last one repeats. Never empty.
    std::vector<Duration> retry_after{std::chrono::minutes(10), std::chrono::minutes(30), std::chrono::hours(1),
                                      std::chrono::hours(2), std::chrono::hours(4)};
    Duration expire_after = std::chrono::hours(4 * 24 + 12);

    // RFC 5321 §4.5.3.2 from greeting to end of data.
    Duration connect_timeout = std::chrono::minutes(1);
    Duration greeting_timeout = std::chrono::minutes(5);
    Duration ehlo_timeout = std::chrono::minutes(5);
    Duration mail_timeout = std::chrono::minutes(5);
    Duration rcpt_timeout = std::chrono::minutes(5);
    Duration data_timeout = std::chrono::minutes(2);
    Duration body_timeout = std::chrono::minutes(3);
    Duration end_of_data_timeout = std::chrono::minutes(10);
    Duration quit_timeout = std::chrono::seconds(10);

    Duration idle_timeout = std::chrono::seconds(5);  // an open connection waits this long for more mail
    bool pipelining = true;                           // use it when it is offered
    bool chunking = true;                             // with pipelining, for small messages
    AddressFamily address_family = AddressFamily::Ipv6First;

    DeliveryTls tls = DeliveryTls::May;
    HostNames tls_names;  // that a certificate may have instead of the host's
    TlsMinVersion tls_min_version = TlsMinVersion::Tls12;
    CipherList tls_ciphers;                                  // of TLS 1.2
    FilePath tls_ca_file, tls_certificate, tls_private_key;  // PEM; none: the system's CAs, no certificate
    Duration tls_timeout = std::chrono::minutes(1);
    bool mta_sts = true;  // heed the policies of recipient domains
    // While the queue is in backoff these limits hold on top of the ones above, and this retry_after instead of that.
    std::uint32_t backoff_max_connections = 1;
    Rate backoff_max_message_rate, backoff_max_connect_rate;
    DataRate backoff_max_data_rate;
    std::vector<Duration> backoff_retry_after{std::chrono::hours(1)};
    DurationOrNever backoff_leave_after{std::chrono::hours(1)};
    bool backoff_leave_on_delivery = false;
    VirtualMtaName backoff_reroute_to;

    Priority priority = Priority::Normal;  // of the queue, among those that wait for the same limit

    CountList warm_up;  // recipients a day, on the first day, the second …; the last one repeats; empty: no limit
    std::string
        forced_reply;  // "550 5.7.1 …": the answer to all mail of the queue, without asking a server; empty: none

    bool dsn_failure = true, dsn_delay = true, dsn_success = true;  // which notifications senders get by mail
    friend bool operator==(const ShapingValues&, const ShapingValues&) = default;
};

// The same keys as one rule has them: only some are set. shaping_keys.hpp pairs the two.
struct ShapingKeys {
    std::optional<std::uint32_t> max_connections, max_messages_per_connection, max_recipients_per_transaction;
    std::optional<std::uint32_t> max_domains_per_transaction;
    std::optional<Rate> max_message_rate, max_connect_rate;
    std::optional<DataRate> max_data_rate;
    std::optional<std::uint32_t> per_source_max_connections, per_destination_max_connections;
    std::optional<Rate> per_source_max_message_rate, per_source_max_connect_rate;
    std::optional<Rate> per_destination_max_message_rate, per_destination_max_connect_rate;
    std::optional<DataRate> per_source_max_data_rate, per_destination_max_data_rate;
    std::optional<std::vector<Duration>> retry_after;
    std::optional<Duration> expire_after;
    std::optional<Duration> connect_timeout, greeting_timeout, ehlo_timeout, mail_timeout, rcpt_timeout, data_timeout,
        body_timeout, end_of_data_timeout, quit_timeout, idle_timeout;
    std::optional<bool> pipelining;
    std::optional<bool> chunking;
    std::optional<AddressFamily> address_family;
    std::optional<DeliveryTls> tls;
    std::optional<HostNames> tls_names;
    std::optional<TlsMinVersion> tls_min_version;
    std::optional<CipherList> tls_ciphers;
    std::optional<FilePath> tls_ca_file, tls_certificate, tls_private_key;
    std::optional<Duration> tls_timeout;
    std::optional<bool> mta_sts;
    std::optional<std::uint32_t> backoff_max_connections;
    std::optional<Rate> backoff_max_message_rate, backoff_max_connect_rate;
    std::optional<DataRate> backoff_max_data_rate;
    std::optional<std::vector<Duration>> backoff_retry_after;
    std::optional<DurationOrNever> backoff_leave_after;
    std::optional<bool> backoff_leave_on_delivery;
    std::optional<Priority> priority;
    std::optional<VirtualMtaName> backoff_reroute_to;
    std::optional<CountList> warm_up;
    std::optional<std::string> forced_reply;
    std::optional<bool> dsn_failure, dsn_delay, dsn_success;
};

struct ShapingMatch {
    std::string site, domain, virtual_mta, pool, tenant;  // empty: any
    friend bool operator==(const ShapingMatch&, const ShapingMatch&) = default;
};

struct ShapingRule {
    ShapingMatch match;
    ShapingKeys keys;
    Origin origin;
};

// What a reply does besides its usual effect. PowerMTA has the first seven.
enum class ReplyAction {
    Backoff,          // the queue runs by its careful rules
    Normal,           // and does no longer
    SkipMx,           // another host of the destination is to take this mail, even after a 5xx
    BounceQueue,      // all mail of the queue comes back with this reply
    BounceRecipient,  // a 4xx to RCPT counts as a 5xx
    DisableSource,    // the queue does not use this source address any more
    DeferQueue,       // the whole queue waits for its first retry_after
    DeferRecipient,   // a 5xx counts as a 4xx
};

struct ReplyRule {
    std::string site, domain, virtual_mta, pool, tenant;  // empty: any
    std::string reply;                                    // pattern over "421 4.7.28 unusual rate"
    std::vector<SmtpPhase> phases;                        // empty: any
    std::vector<ReplyAction> actions;                     // never empty
    std::optional<Duration> reenable_after;               // DisableSource; none: a day
    std::optional<Duration> retry_after;                  // of recipients that this reply defers
    Origin origin;
};

// What a remote server's refusal means to the list owner; before the patterns that we ship (libs/bounce).
struct BounceCategoryRule {
    std::string reply;  // pattern over "550 5.1.1 no such user"
    BounceCategory category = BounceCategory::Other;
    Origin origin;
};

}  // namespace postfleet::config
