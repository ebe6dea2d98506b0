// Config: the whole configuration as typed values, checked and complete (DESIGN section 8).
//
// Made by load_config() from parsed documents (load.hpp); never edited afterwards: a reload makes a new
// one. Every value here is valid by itself and all references are resolved (a pool's members exist, a
// binding's target exists). Secrets are not here: only where to find them.
//
// Units: octets, std::chrono durations, recipients per period. Threads: immutable once loaded; shared.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/broker_access.hpp"
#include "postfleet/base/document.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/config/dkim.hpp"
#include "postfleet/mail/bounce_category.hpp"
#include "postfleet/mail/event.hpp"
#include "postfleet/mail/intake_kind.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::config {

// "500/m": at most `count` in each `period`, evenly paced: one every period / count.
struct Rate {
    std::uint64_t count = 0;  // 0: unlimited
    Duration period{};        // a second, minute, hour or day
    bool is_unlimited() const { return count == 0; }
    Duration interval() const { return count == 0 ? Duration{} : period / static_cast<Duration::rep>(count); }
    std::string to_string() const;  // "500/m", "unlimited"
    friend bool operator==(const Rate&, const Rate&) = default;
};

// "10MiB/m": at most so many octets of messages in each period; each message is paid for before the next one goes.
struct DataRate {
    std::uint64_t octets = 0;  // 0: unlimited
    Duration period{};
    bool is_unlimited() const { return octets == 0; }
    // How long `amount` octets are paid for; zero when unlimited.
    Duration time_for(std::uint64_t amount) const;
    std::string to_string() const;  // "10MiB/m", "unlimited"
    friend bool operator==(const DataRate&, const DataRate&) = default;
};

// A value that may be unlimited ("unlimited" in the text).
inline constexpr std::uint32_t kUnlimited = UINT32_MAX;

struct CountList {
    std::vector<std::uint32_t> values;
    friend bool operator==(const CountList&, const CountList&) = default;
};

struct VirtualMtaName {  // or a pool's
    std::string text;    // empty: none
    friend bool operator==(const VirtualMtaName&, const VirtualMtaName&) = default;
};

// What several queues may do together.
struct FlowLimits {
    std::uint32_t max_connections = kUnlimited;
    Rate max_message_rate;  // attempted recipients
    Rate max_connect_rate;  // connection attempts
    DataRate max_data_rate;
    bool is_unlimited() const { return *this == FlowLimits{}; }
    bool is_paced() const { return !max_message_rate.is_unlimited() || !max_data_rate.is_unlimited(); }
    friend bool operator==(const FlowLimits&, const FlowLimits&) = default;
};

// Limits of delivery that are wider than a queue, a virtual MTA or a provider.
struct Outbound {
    FlowLimits total;
    FlowLimits per_source;  // of each source address
};

// "2h", or "never".
struct DurationOrNever {
    Duration value{};  // zero: never
    bool is_never() const { return value == Duration::zero(); }
    friend bool operator==(const DurationOrNever&, const DurationOrNever&) = default;
};

enum class HeaderTrust { Ignore, Honour };             // X-Virtual-MTA, X-Job, X-EnvID
enum class LineEnds { Strict, Normalize };             // bare CR or LF: refuse, or make CRLF
enum class ListenerTls { None, Starttls, Implicit };   // RFC 3207, RFC 8314
enum class ListenerAuth { None, Optional, Required };  // RFC 4954
enum class DeliveryTls { None, May, Require, Verify };
enum class TlsMinVersion { Tls12, Tls13 };

// Texts with a kind, so that a shaping key's type says what it takes.
struct FilePath {
    std::string text;  // absolute; empty: none
    friend bool operator==(const FilePath&, const FilePath&) = default;
};
struct CipherList {
    std::string text;  // as OpenSSL writes it; empty: the default
    friend bool operator==(const CipherList&, const CipherList&) = default;
};
using HostNames = std::vector<std::string>;
// A message broker, and how we get in; its section's keys: src/tables_broker.hpp.
using BrokerAccess = postfleet::BrokerAccess;

enum class Unknown { Refuse, Default };  // X-Virtual-MTA names something that does not exist

// Which addresses of a host are connected to, and which of them first.
enum class AddressFamily { Ipv6First, Ipv4First, Ipv6, Ipv4 };

enum class MessageChecks { Allow, Repair, Refuse };   // what to do with a message that breaks RFC 5322
enum class ReceivedField { Full, HideClient, None };  // the trace field that a listener adds

// 127.0.0.0/8 and ::1.
std::vector<Network> loopback_networks();

// How much may arrive: `count` at once, then evenly `count` per period.
struct ArrivalRates {
    Rate connections, messages, recipients;
};

struct Listener {
    std::string name;
    Endpoint address;                                       // port 0: any free one (tests)
    std::vector<Network> relay_from = loopback_networks();  // who may send anywhere
    std::vector<Network> proxy_from;    // load balancers that speak the PROXY protocol; empty: nobody does
    std::vector<Network> xclient_from;  // who may say whose connection it is (XCLIENT)
    HeaderTrust headers = HeaderTrust::Ignore;
    LineEnds line_ends = LineEnds::Strict;
    MessageChecks message_checks = MessageChecks::Allow;
    ReceivedField received = ReceivedField::Full;
    bool remove_bcc = true;
    Duration max_future_release{};  // zero: FUTURERELEASE is not offered
    bool deliver_by = false;
    bool mt_priority = false;
    bool mail_merge = false;
    UndefinedVariable undefined_variables = UndefinedVariable::Empty;
    std::uint32_t max_hops = 100;  // Received fields
    std::uint64_t max_header_size = kContentChunkOctets;
    std::uint64_t max_header_field_size = 64 << 10;  // of one field
    ListenerTls tls = ListenerTls::None;
    std::string certificate, private_key;  // PEM files; read again at every reload
    std::string client_ca;                 // PEM file; empty: no client is asked for a certificate
    ListenerAuth auth = ListenerAuth::None;
    bool auth_without_tls = false;
    std::string tenant = "default";  // of mail that comes without authentication
    std::uint64_t max_message_size = 50ull << 20;
    std::uint32_t max_recipients = 1000;  // per transaction
    std::uint32_t max_connections = 10'000;
    std::uint32_t max_connections_per_client = 1'000;
    std::uint32_t max_messages_per_connection = kUnlimited;
    std::uint32_t max_errors = 20;  // then 421
    std::uint32_t max_unknown_commands = 10;
    std::uint32_t max_idle_commands = 100;  // NOOP and the like, without a message in between
    Duration error_delay{};                 // the nth mistake is followed by n of these, up to 30 s
    Duration max_session_time = std::chrono::hours(24);
    ArrivalRates rates, rates_per_client;
    Rate max_error_rate_per_client;
    std::uint32_t client_prefix_v4 = 32, client_prefix_v6 = 64;  // what counts as one client
    bool limit_relay_clients = false;                            // whether the limits per client hold for relay_from
    Duration command_timeout = std::chrono::minutes(5);
    Duration data_timeout = std::chrono::minutes(3);
    std::uint64_t min_data_rate = 256;  // octets a second, beside data_timeout
    bool dsn = true;                    // whether the senders of its mail get notifications by mail
    Origin origin;
};

// A directory that takes mail as files.
struct Pickup {
    std::string name;
    std::string directory, bad_directory;
    std::string tenant = "default";
    std::string virtual_mta;  // VMTA or pool for its mail when no binding takes it; empty: the default
    HeaderTrust headers = HeaderTrust::Honour;
    UndefinedVariable undefined_variables = UndefinedVariable::Empty;
    MessageChecks message_checks = MessageChecks::Allow;
    bool remove_bcc = true;
    std::vector<std::string> ignore{".tmp", ".part"};  // ends of names of files that are not finished
    std::uint64_t max_header_size = kContentChunkOctets;
    std::uint64_t max_header_field_size = 64 << 10;  // of one field
    std::uint64_t max_message_size = 50ull << 20;
    std::uint32_t max_recipients = 1000;             // per file
    Duration settle_time = std::chrono::seconds(2);  // for what was not moved in
    Duration rescan_interval = std::chrono::seconds(10);
    Origin origin;
};

// A queue of a RabbitMQ broker that applications submit mail to.
struct SubmissionQueue {
    std::string name;
    BrokerAccess broker;
    std::string queue = "postfleet.submit";
    std::string rejected_queue = "postfleet.rejected";  // where what can never be sent goes, with the reason
    bool declare = true;                                // the queues and their exchanges, where they are missing
    std::string tenant = "default";
    std::vector<std::string> send_as;  // domains, as of a tenant; empty: as the tenant has it, and any if it has none
    std::string virtual_mta;           // VMTA or pool for its mail when no binding takes it; empty: the default
    HeaderTrust headers = HeaderTrust::Honour;
    UndefinedVariable undefined_variables = UndefinedVariable::Empty;
    MessageChecks message_checks = MessageChecks::Repair;
    bool remove_bcc = true;
    std::uint64_t max_header_size = kContentChunkOctets;
    std::uint64_t max_header_field_size = 64 << 10;  // of one field
    std::uint64_t max_message_size = 10ull << 20;
    std::uint32_t max_recipients = 1000;  // of a submission
    Duration max_future_release = std::chrono::hours(24 * 30);
    std::uint32_t consumers = 1;        // each with a connection and a thread
    std::uint32_t max_in_flight = 500;  // submissions of each consumer that are taken and not acknowledged
    std::uint64_t max_octets_in_flight = 32ull << 20;
    Duration idempotency_window = std::chrono::hours(24);
    Origin origin;
};

// An address that takes mail by gRPC (postfleet.v1.SubmissionService).
struct GrpcListener {
    std::string name;
    Endpoint address;                                       // port 0: any free one (tests)
    std::vector<Network> relay_from = loopback_networks();  // who may send without a login
    std::string certificate, private_key;                   // PEM files, read again when they change; empty: no TLS
    std::string client_ca;                                  // PEM file; empty: no client is asked for a certificate
    bool require_client_certificate = true;                 // where there is a client_ca
    bool unsafe_plaintext = false;                          // without TLS also on other addresses than loopback's
    // Of mail that comes without a login; as of a submission queue.
    std::string tenant = "default";
    std::vector<std::string> send_as;
    std::string virtual_mta;
    HeaderTrust headers = HeaderTrust::Honour;
    UndefinedVariable undefined_variables = UndefinedVariable::Empty;
    MessageChecks message_checks = MessageChecks::Repair;
    bool remove_bcc = true;
    std::uint64_t max_header_size = kContentChunkOctets;
    std::uint64_t max_header_field_size = 64 << 10;  // of one field
    std::uint64_t max_message_size = 10ull << 20;
    std::uint32_t max_recipients = 1000;  // of a submission
    Duration max_future_release = std::chrono::hours(24 * 30);
    Duration idempotency_window = std::chrono::hours(24);
    std::uint32_t threads = 1;
    std::uint32_t max_calls = 2000;                    // under way
    std::uint32_t max_calls_per_connection = 200;      // the same
    std::uint32_t max_in_flight = 100;                 // submissions of one call without a result
    std::uint64_t max_octets_in_flight = 64ull << 20;  // of all calls
    Duration call_timeout = std::chrono::minutes(5);   // for the next submission of a call
    Origin origin;
};

// The way out of a virtual MTA: a proxy that its connections go through.
struct EgressProxy {
    enum class Kind { Socks5, HaproxyV1, HaproxyV2 };
    Kind kind = Kind::Socks5;
    Endpoint address;
    static Result<EgressProxy> parse(std::string_view text);  // "socks5://127.0.0.1:1080"
    std::string to_string() const;
    friend bool operator==(const EgressProxy&, const EgressProxy&) = default;
};

struct VirtualMta {
    std::string name;
    std::vector<IpAddress> sources;                             // empty: whatever the system chooses
    std::string ehlo;                                           // default: hostname
    std::vector<std::pair<IpAddress, std::string>> ehlo_names;  // of single sources
    std::optional<EgressProxy> proxy;
    std::string proxy_user, proxy_password_file;  // SOCKS5; empty: no login
    std::string sender = "sender-0";              // whose it is in a cluster
    FlowLimits limits;                            // over all its queues; each queue's own limits come from `shaping`
    Origin origin;
};

// Of mail that is to be sent later: what expire_after is counted from.
enum class ExpiryCountsFrom { SendTime, Acceptance };

// When mail that goes again gets another virtual MTA of its pool.
enum class Rechoose { Never, OnBackoff, EveryAttempt };

struct Pool {
    std::string name;
    std::vector<std::pair<std::string, std::uint32_t>> members;  // VMTA, weight (>= 1)
    Priority priority = Priority::Normal;
    Rechoose rechoose = Rechoose::Never;
    Origin origin;
};

// One rule; every condition that is given must hold. Patterns are PCRE, matched anywhere, case-insensitive.
struct Binding {
    std::vector<std::pair<std::string, std::string>> headers;  // name → pattern
    std::string mail_from, rcpt_domain;                        // patterns; empty: not given
    std::optional<Network> client;
    std::string user, listener, template_name, tenant, job;  // exact
    std::string target;                                      // VMTA or pool
    Origin origin;
};

enum class RouteTls : std::uint8_t { Verify, Implicit };

// How a next hop is entered that is not an ordinary MX.
struct RouteAccess {
    std::optional<RouteTls> tls{};        // as it is written
    bool is_implicit_tls = false;         // TLS from the first octet (RFC 8314)
    std::string user{}, password_file{};  // empty: no login
    // Only with a certificate that is trusted and for this host; a password goes nowhere else.
    bool is_verified() const { return tls.has_value() || !user.empty(); }
    friend bool operator==(const RouteAccess&, const RouteAccess&) = default;
};

struct RouteHop {
    std::string host;  // a name or an address
    std::uint16_t port = 25;
    std::shared_ptr<const RouteAccess> access{};  // null: as any other; shared by the hops of a route
    friend bool operator==(const RouteHop&, const RouteHop&) = default;
};

// Next hops instead of MX lookup. Keys: "example.test", ".example.test" (its subdomains), "*" (everything).
using Routes = std::map<std::string, std::vector<RouteHop>>;

enum class ProviderMatch { Any, All };  // how many of Provider::mx must be among the MX hosts

struct Provider {
    std::string name;
    std::vector<std::string> mx;  // wildcards over MX host names: "*.google.com"
    ProviderMatch match = ProviderMatch::Any;
    std::vector<std::string> domains;  // that belong to it whatever their MX
    std::vector<Network> addresses;    // of the most preferred MX hosts
    // Otherwise it is the shipped one of its name, with limits.
    bool names_hosts() const { return !mx.empty() || !domains.empty() || !addresses.empty(); }
    FlowLimits limits;  // over the queues of all virtual MTAs
    Origin origin;
};

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

// What an account may do; over all its connections, to all listeners.
struct AccountLimits {
    std::uint32_t max_connections = kUnlimited;
    Rate max_message_rate, max_recipient_rate;
};

// Who may say when its mail is sent; what is not given here is as the listener has it.
struct ScheduleRights {
    std::optional<Duration> max_future_release;
    std::optional<bool> deliver_by, mt_priority;
};

struct Tenant {
    std::string name;
    // What its users may send as: "acme.example", ".acme.example" (everything below), "*" (anything).
    std::vector<std::string> send_as;
    AccountLimits limits;
    ScheduleRights schedule;  // of its users, unless they have their own
    Origin origin;
};

struct User {
    std::string name;
    std::string tenant = "default";
    std::string password_file;  // what `postfleet hash-password` writes
    std::string certificate;    // SHA-256 fingerprint of a client certificate: 64 lower-case hexadecimal digits
    std::string virtual_mta;    // VMTA or pool for its mail when no binding takes it; empty: the default
    AccountLimits limits;
    ScheduleRights schedule;
    Origin origin;
};

// CloudEvents JSON lines; PowerMTA's accounting CSV; CloudEvents JSON for an exchange, for a topic.
enum class ReportType { File, Accounting, Amqp, Kafka };
enum class WhenReportsFull { Pause, DropOldest };
enum class ReportTimes { Iso, Epoch };
enum class ReportPrivacy { Retain, Redact, HmacSha256 };

// Columns of an accounting file by record type; empty: the default ones.
struct AccountingColumns {
    std::vector<std::string> d, b, t, tq, r;
};

// What decides the partition of an event, and with it what stays in order.
enum class KafkaKey { Message, Recipient, Job, Tenant, None };
enum class KafkaCompression { None, Gzip, Snappy, Lz4, Zstd };
enum class KafkaLogin { None, Plain, ScramSha256, ScramSha512 };

struct KafkaReport {
    std::vector<std::string> brokers;  // "host:port"
    std::string topic;
    KafkaKey key = KafkaKey::Message;
    KafkaCompression compression = KafkaCompression::Lz4;
    bool tls = false;
    KafkaLogin sasl = KafkaLogin::None;
    std::string user;
};

struct AmqpReport {
    std::string exchange = "postfleet.reports";
    std::string queue = "postfleet.reports";  // "none": none is declared
};

struct Report {
    std::string name;  // of its position in the outbox
    ReportType type = ReportType::File;
    std::vector<EventType> types;       // what it takes; empty only for Accounting
    std::uint64_t quota = 10ull << 30;  // of what waits for it
    WhenReportsFull on_full = WhenReportsFull::DropOldest;
    KafkaReport kafka;    // Kafka only
    AmqpReport amqp;      // Amqp only
    BrokerAccess broker;  // Amqp; of Kafka the files
    // File and Accounting only.
    std::string path;
    std::string move_to;  // folder for rotated files; empty: where they are
    // Accounting only.
    std::vector<std::string> records{"d", "b"};
    AccountingColumns columns;
    ReportTimes times = ReportTimes::Iso;
    std::string user_string;
    ReportPrivacy privacy = ReportPrivacy::Retain;
    std::string privacy_key_file;
    std::uint64_t rotate_size = 100ull << 20;
    Duration rotate_after = std::chrono::hours(24);
    std::uint32_t keep = 14;  // rotated files
    Origin origin;
};

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

struct Config {
    std::string hostname;
    std::string data_dir = "/var/lib/postfleet";
    std::string control_socket;  // default: data_dir/control.sock
    std::uint32_t shards = 0;    // 0: one per core
    std::map<std::string, Listener> listeners;
    std::map<std::string, Pickup> pickups;
    std::map<std::string, SubmissionQueue> submission_queues;
    std::map<std::string, GrpcListener> grpc_listeners;
    Intake intake;
    std::optional<Http> http;
    std::map<std::string, VirtualMta> virtual_mtas;
    std::map<std::string, Pool> pools;
    std::vector<Binding> bindings;
    std::string default_virtual_mta;  // VMTA or pool
    Unknown unknown_virtual_mta = Unknown::Refuse;
    ExpiryCountsFrom expiry_counts_from = ExpiryCountsFrom::SendTime;
    std::map<std::string, Provider> providers;
    bool shipped_providers = true;  // also those of shipped_providers.hpp
    Routes routes;
    std::vector<Network> allow_private_targets;  // private and reserved addresses that MX hosts may have
    std::vector<ShapingRule> shaping;
    std::vector<ReplyRule> reply_patterns;
    std::vector<BounceCategoryRule> bounce_categories;
    std::vector<DkimRule> dkim;
    std::vector<Report> reports;
    Limits limits;
    Outbound outbound;
    DsnSettings dsn;
    Spool spool;
    TakeIn take_in;
    LocalBuffer local_buffer;
    Rendering rendering;
    LogSettings log;
    Dns dns;
    HttpsClient https_client;
    std::optional<TlsReports> tls_reports;
    Duration shutdown_grace = std::chrono::seconds(25);
    std::map<std::string, Tenant> tenants;  // names that may be used; "default" is always there
    std::map<std::string, User> users;
    // Where each value stands in the files: "hostname" → mta.yaml:1:11, "listeners.relay.address" → …
    std::map<std::string, Origin> origins;
    // The values that came from ${NAME}: path → the text as written. Shown instead of the value.
    std::map<std::string, std::string> references;
    // A hash of everything above, for "which configuration is active".
    std::string version;
};

}  // namespace postfleet::config
