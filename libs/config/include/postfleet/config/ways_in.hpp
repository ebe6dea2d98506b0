// Parts of Config (config.hpp): where mail comes in: listeners, pickup directories, submission queues, gRPC listeners.
//
// Threads: value types.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/config/values.hpp"
#include "postfleet/mail/intake_kind.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::config {

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
    std::uint32_t max_connections = 2000;
    std::uint32_t max_connections_per_client = 1000;
    std::uint32_t max_calls = 2000;                    // under way
    std::uint32_t max_calls_per_connection = 200;      // the same
    std::uint32_t max_in_flight = 100;                 // submissions of one call without a result
    std::uint64_t max_octets_in_flight = 64ull << 20;  // of all calls
    Duration call_timeout = std::chrono::minutes(5);   // for the next submission of a call
    Origin origin;
};

}  // namespace postfleet::config
