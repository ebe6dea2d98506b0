// for_each_shaping_key: the keys of a shaping rule, each as the pair of what a rule may set and what a queue has.
//
// The one list behind parsing, merging (libs/shaping), explaining and the reference page. The order is the
// one of the reference page. Threads: pure.
#pragma once

#include <string_view>

#include "postfleet/config/config.hpp"

namespace postfleet::config {

enum class KeyScope {
    Queue,  // shapes everything in the queue site/vmta
    Mail,   // asked per recipient: can depend on domain and tenant
    Dsn,    // likewise, but only when there is something to tell a sender
};

template <class T>
struct ShapingKey {
    std::string_view name;
    std::optional<T> ShapingKeys::*set;
    T ShapingValues::*value;
    KeyScope scope;
    std::string_view summary;
};

// Those that hold for single addresses.
template <class Visit>
void for_each_address_key(Visit&& visit) {
    using K = ShapingKeys;
    using V = ShapingValues;
    constexpr auto kQueue = KeyScope::Queue;
    visit(ShapingKey<std::uint32_t>{"per_source.max_connections", &K::per_source_max_connections,
                                    &V::per_source_max_connections, kQueue,
                                    "Connections open at the same time, from each source address to the site."});
    visit(ShapingKey<Rate>{"per_source.max_message_rate", &K::per_source_max_message_rate,
                           &V::per_source_max_message_rate, kQueue,
                           "Attempted recipients per period, from each source address to the site."});
    visit(ShapingKey<Rate>{"per_source.max_connect_rate", &K::per_source_max_connect_rate,
                           &V::per_source_max_connect_rate, kQueue,
                           "Connection attempts per period, from each source address to the site."});
    visit(ShapingKey<DataRate>{"per_source.max_data_rate", &K::per_source_max_data_rate, &V::per_source_max_data_rate,
                               kQueue, "Octets of messages per period, from each source address to the site."});
    visit(ShapingKey<std::uint32_t>{"per_destination.max_connections", &K::per_destination_max_connections,
                                    &V::per_destination_max_connections, kQueue,
                                    "Connections open at the same time, to each address of a server."});
    visit(ShapingKey<Rate>{"per_destination.max_message_rate", &K::per_destination_max_message_rate,
                           &V::per_destination_max_message_rate, kQueue,
                           "Attempted recipients per period, at each address of a server."});
    visit(ShapingKey<Rate>{"per_destination.max_connect_rate", &K::per_destination_max_connect_rate,
                           &V::per_destination_max_connect_rate, kQueue,
                           "Connection attempts per period, to each address of a server."});
    visit(ShapingKey<DataRate>{"per_destination.max_data_rate", &K::per_destination_max_data_rate,
                               &V::per_destination_max_data_rate, kQueue,
                               "Octets of messages per period, to each address of a server."});
}

// Calls visit(ShapingKey<T>) for every key.
template <class Visit>
void for_each_shaping_key(Visit&& visit) {
    using K = ShapingKeys;
    using V = ShapingValues;
    constexpr auto kQueue = KeyScope::Queue;
    constexpr auto kMail = KeyScope::Mail;
    constexpr auto kDsn = KeyScope::Dsn;
    visit(ShapingKey<std::uint32_t>{"max_connections", &K::max_connections, &V::max_connections, kQueue,
                                    "Connections open at the same time. One counts until its close completes."});
    visit(ShapingKey<std::uint32_t>{"max_messages_per_connection", &K::max_messages_per_connection,
                                    &V::max_messages_per_connection, kQueue,
                                    "Transactions over one connection before it is closed with QUIT."});
    visit(ShapingKey<std::uint32_t>{"max_recipients_per_transaction", &K::max_recipients_per_transaction,
                                    &V::max_recipients_per_transaction, kQueue,
                                    "Recipients of one message that share a transaction."});
    visit(ShapingKey<std::uint32_t>{"max_domains_per_transaction", &K::max_domains_per_transaction,
                                    &V::max_domains_per_transaction, kQueue,
                                    "Their domains, where a site has several. Gmail and Microsoft want one."});
    visit(ShapingKey<Rate>{"max_message_rate", &K::max_message_rate, &V::max_message_rate, kQueue,
                           "Attempted recipients per period, evenly paced: 60/m is one a second."});
    visit(ShapingKey<Rate>{"max_connect_rate", &K::max_connect_rate, &V::max_connect_rate, kQueue,
                           "Connection attempts per period, evenly paced."});
    visit(
        ShapingKey<DataRate>{"max_data_rate", &K::max_data_rate, &V::max_data_rate, kQueue,
                             "Octets of messages per period: after each message, as long a pause as its octets take."});
    visit(ShapingKey<std::vector<Duration>>{"retry_after", &K::retry_after, &V::retry_after, kMail,
                                            "How long a recipient waits after its first, second, … failed attempt; "
                                            "the last one repeats."});
    visit(ShapingKey<Duration>{"expire_after", &K::expire_after, &V::expire_after, kMail,
                               "When a recipient is given up, counted from acceptance."});
    visit(ShapingKey<Duration>{"connect_timeout", &K::connect_timeout, &V::connect_timeout, kQueue,
                               "For a TCP connection to come up."});
    visit(ShapingKey<Duration>{"greeting_timeout", &K::greeting_timeout, &V::greeting_timeout, kQueue,
                               "For the 220 greeting (RFC 5321 §4.5.3.2.1)."});
    visit(ShapingKey<Duration>{"ehlo_timeout", &K::ehlo_timeout, &V::ehlo_timeout, kQueue, "For the reply to EHLO."});
    visit(ShapingKey<Duration>{"mail_timeout", &K::mail_timeout, &V::mail_timeout, kQueue,
                               "For the reply to MAIL (RFC 5321 §4.5.3.2.2)."});
    visit(ShapingKey<Duration>{"rcpt_timeout", &K::rcpt_timeout, &V::rcpt_timeout, kQueue,
                               "For the reply to RCPT (RFC 5321 §4.5.3.2.3)."});
    visit(ShapingKey<Duration>{"data_timeout", &K::data_timeout, &V::data_timeout, kQueue,
                               "For the 354 after DATA (RFC 5321 §4.5.3.2.4)."});
    visit(ShapingKey<Duration>{"body_timeout", &K::body_timeout, &V::body_timeout, kQueue,
                               "For the remote side to take each part of the message (RFC 5321 §4.5.3.2.5)."});
    visit(ShapingKey<Duration>{"end_of_data_timeout", &K::end_of_data_timeout, &V::end_of_data_timeout, kQueue,
                               "For the reply to the final dot (RFC 5321 §4.5.3.2.6). Short values make duplicates."});
    visit(ShapingKey<Duration>{"quit_timeout", &K::quit_timeout, &V::quit_timeout, kQueue, "For the reply to QUIT."});
    visit(ShapingKey<Duration>{"idle_timeout", &K::idle_timeout, &V::idle_timeout, kQueue,
                               "How long an open connection waits for more mail."});
    visit(ShapingKey<bool>{"pipelining", &K::pipelining, &V::pipelining, kQueue,
                           "Use PIPELINING (RFC 2920) where the remote side offers it."});
    visit(ShapingKey<bool>{"chunking", &K::chunking, &V::chunking, kQueue,
                           "Send a message of at most 64 KiB together with its envelope (CHUNKING, RFC 3030) where the "
                           "remote side offers that and PIPELINING, and has taken the message before it."});
    visit(ShapingKey<AddressFamily>{"address_family", &K::address_family, &V::address_family, kQueue,
                                    "Which addresses of a host are tried: those of one family first and the other's "
                                    "in turn, or one family only. A family that the virtual MTA has no source of is "
                                    "left out in any case."});
    visit(ShapingKey<DeliveryTls>{"tls", &K::tls, &V::tls, kQueue,
                                  "`none`: plain text. `may`: TLS where it works; what a host publishes by DANE binds. "
                                  "`require`: TLS, with any certificate. `verify`: TLS with a certificate that is "
                                  "trusted and has the host's name. Mail that may not go in clear is deferred."});
    visit(ShapingKey<HostNames>{"tls_names", &K::tls_names, &V::tls_names, kQueue,
                                "With `tls: verify`: names that the certificate may have instead of the "
                                "host's."});
    visit(ShapingKey<TlsMinVersion>{"tls_min_version", &K::tls_min_version, &V::tls_min_version, kQueue,
                                    "The oldest version of TLS that is spoken."});
    visit(ShapingKey<CipherList>{"tls_ciphers", &K::tls_ciphers, &V::tls_ciphers, kQueue,
                                 "Ciphers of TLS 1.2, in OpenSSL's notation. TLS 1.3 has only good ones."});
    visit(ShapingKey<FilePath>{"tls_ca_file", &K::tls_ca_file, &V::tls_ca_file, kQueue,
                               "PEM file with the CAs that are trusted, instead of the system's."});
    visit(ShapingKey<FilePath>{"tls_certificate", &K::tls_certificate, &V::tls_certificate, kQueue,
                               "PEM file: our own certificate and its chain, for servers that ask for one. Read "
                               "again at every reload."});
    visit(ShapingKey<FilePath>{"tls_private_key", &K::tls_private_key, &V::tls_private_key, kQueue,
                               "PEM file with its key, not encrypted; default: in the certificate's file."});
    visit(ShapingKey<Duration>{"tls_timeout", &K::tls_timeout, &V::tls_timeout, kQueue,
                               "For the reply to STARTTLS, and for the TLS handshake."});
    visit(ShapingKey<bool>{"mta_sts", &K::mta_sts, &V::mta_sts, kQueue,
                           "With `tls: may` or `require`: heed the MTA-STS policies of recipient domains (RFC 8461). "
                           "Where no rule leaves it on, nobody looks for them."});
    for_each_address_key(visit);
    visit(ShapingKey<std::uint32_t>{"backoff.max_connections", &K::backoff_max_connections, &V::backoff_max_connections,
                                    kQueue,
                                    "Connections open at the same time, at most, while the queue is in backoff."});
    visit(ShapingKey<Rate>{"backoff.max_message_rate", &K::backoff_max_message_rate, &V::backoff_max_message_rate,
                           kQueue, "Attempted recipients per period, at most, while the queue is in backoff."});
    visit(ShapingKey<Rate>{"backoff.max_connect_rate", &K::backoff_max_connect_rate, &V::backoff_max_connect_rate,
                           kQueue, "Connection attempts per period, at most, while the queue is in backoff."});
    visit(ShapingKey<DataRate>{"backoff.max_data_rate", &K::backoff_max_data_rate, &V::backoff_max_data_rate, kQueue,
                               "Octets of messages per period, at most, while the queue is in backoff."});
    visit(ShapingKey<std::vector<Duration>>{"backoff.retry_after", &K::backoff_retry_after, &V::backoff_retry_after,
                                            kQueue, "Instead of retry_after while the queue is in backoff."});
    visit(ShapingKey<DurationOrNever>{"backoff.leave_after", &K::backoff_leave_after, &V::backoff_leave_after, kQueue,
                                      "The queue leaves backoff after this long."});
    visit(ShapingKey<bool>{"backoff.leave_on_delivery", &K::backoff_leave_on_delivery, &V::backoff_leave_on_delivery,
                           kQueue, "The queue leaves backoff when a recipient has been delivered."});
    visit(ShapingKey<VirtualMtaName>{"backoff.reroute_to", &K::backoff_reroute_to, &V::backoff_reroute_to, kQueue,
                                     "A virtual MTA or pool that mail which could go now moves to, instead of going by "
                                     "the careful rules. Mail that would come back to a queue stays in the last one."});
    visit(
        ShapingKey<CountList>{"warm_up", &K::warm_up, &V::warm_up, kQueue,
                              "Attempted recipients a day (UTC) while the virtual MTA warms up: on its first day with "
                              "mail for the site, its second, …; the last one repeats. More goes by other members of "
                              "the mail's pool, or waits for the next day."});
    visit(
        ShapingKey<Priority>{"priority", &K::priority, &V::priority, kQueue,
                             "Which queue goes first where several wait for the same limit; a lower one is passed over "
                             "for a while, and not for ever. It goes before the priority of the mail."});
    visit(ShapingKey<std::string>{"forced_reply", &K::forced_reply, &V::forced_reply, kQueue,
                                  "All mail of the queue is answered with this reply, and no server is asked: 5xx "
                                  "bounces it, 4xx defers it."});
    visit(ShapingKey<bool>{"dsn.failure", &K::dsn_failure, &V::dsn_failure, kDsn,
                           "Tell senders that a recipient failed, unless they asked not to be told."});
    visit(ShapingKey<bool>{"dsn.delay", &K::dsn_delay, &V::dsn_delay, kDsn,
                           "Tell senders who asked for it (NOTIFY=DELAY, or a time by DELIVERBY) that their mail is "
                           "late, once."});
    visit(ShapingKey<bool>{"dsn.success", &K::dsn_success, &V::dsn_success, kDsn,
                           "Tell senders who asked for it (NOTIFY=SUCCESS) that the next server took the mail, where "
                           "that one does not know DSN and so cannot tell them itself."});
}

// A value of one key as it is written in YAML: "20", "500/m", "[10m, 30m]".
std::string show_value(std::uint32_t value);
std::string show_value(const Rate& value);
std::string show_value(const DataRate& value);
std::string show_value(Duration value);
std::string show_value(const std::vector<Duration>& value);
std::string show_value(bool value);
std::string show_value(AddressFamily value);
std::string show_value(DeliveryTls value);
std::string show_value(TlsMinVersion value);
std::string show_value(const HostNames& value);
std::string show_value(const CipherList& value);
std::string show_value(const FilePath& value);
std::string show_value(const DurationOrNever& value);
std::string show_value(const CountList& value);
std::string show_value(const VirtualMtaName& value);
std::string show_value(Priority value);
std::string show_value(const std::string& value);
// "site: google, virtual_mta: promo-1"; empty: general.
std::string show_match(const ShapingMatch& match);

}  // namespace postfleet::config
