#include "postfleet/ingest/ingest_counters.hpp"

namespace postfleet::ingest {

const char* to_string(Reason reason) {
    switch (reason) {
        case Reason::TooManyConnections: return "too_many_connections";
        case Reason::TooManyConnectionsOfClient: return "too_many_connections_of_client";
        case Reason::TooManyConnectionsInAll: return "too_many_connections_in_all";
        case Reason::TooManyConnectionsOfUser: return "too_many_connections_of_user";
        case Reason::TooManyHandshakes: return "too_many_handshakes";
        case Reason::NoDescriptors: return "no_descriptors";
        case Reason::ConnectionRate: return "connection_rate";
        case Reason::MessageRate: return "message_rate";
        case Reason::RecipientRate: return "recipient_rate";
        case Reason::ErrorRate: return "error_rate";
        case Reason::MemoryLow: return "memory_low";
        case Reason::ProxyNotTrusted: return "proxy_not_trusted";
        case Reason::ProxyHeader: return "proxy_header";
        case Reason::StorageLow: return "storage_low";
        case Reason::StoreBusy: return "store_busy";
        case Reason::NotAccepting: return "not_accepting";
        case Reason::RelayingDenied: return "relaying_denied";
        case Reason::UnknownVirtualMta: return "unknown_virtual_mta";
        case Reason::TooManyHops: return "too_many_hops";
        case Reason::HeaderTooBig: return "header_too_big";
        case Reason::HeaderFieldTooBig: return "header_field_too_big";
        case Reason::AuthRequired: return "auth_required";
        case Reason::AuthMechanism: return "auth_mechanism";
        case Reason::AuthFailed: return "auth_failed";
        case Reason::AuthThrottled: return "auth_throttled";
        case Reason::AuthBusy: return "auth_busy";
        case Reason::AuthMalformed: return "auth_malformed";
        case Reason::SenderNotAllowed: return "sender_not_allowed";
        case Reason::HeldTooLong: return "held_too_long";
        case Reason::MalformedMessage: return "malformed_message";
        case Reason::OurMailTooBig: return "our_mail_too_big";
        case Reason::BadVariables: return "bad_variables";
        case Reason::StoreFailed: return "store_failed";
        case Reason::StoreTooSlow: return "store_too_slow";
    }
    return "unknown";
}

IngestCounters::IngestCounters(Metrics& metrics)
    : unanswered(metrics.counter("postfleet_ingest_unanswered_messages_total",
                                 "Messages made durable although the client was told 451 or had gone: it may "
                                 "send them again.")),
      timeouts(metrics.counter("postfleet_ingest_timeouts_total", "Connections closed because a deadline passed.")),
      tls_handshakes(metrics.counter("postfleet_ingest_tls_handshakes_total", "TLS handshakes that succeeded.")),
      tls_failures(metrics.counter("postfleet_ingest_tls_failures_total",
                                   "TLS handshakes that failed, and connections whose TLS broke later.")),
      lost(metrics.counter("postfleet_ingest_lost_transactions_total", "Connections that ended inside a transaction.")),
      handover_seconds(metrics.histogram("postfleet_ingest_handover_seconds",
                                         "From the end of the data to the durable hand-over.")) {
    const std::string name = "postfleet_ingest_refusals_total";
    const std::string help = "Commands, connections and messages refused, by reason.";
    for (std::size_t i = 0; i < by_refusal.size(); ++i) {
        by_refusal[i] = &metrics.counter(name, help, {{"reason", to_string(static_cast<smtp::Refusal>(i))}});
    }
    for (std::size_t i = 0; i < by_reason.size(); ++i) {
        by_reason[i] = &metrics.counter(name, help, {{"reason", to_string(static_cast<Reason>(i))}});
    }
}

ListenerCounters::ListenerCounters(Metrics& metrics, const std::string& listener)
    : connections(
          metrics.counter("postfleet_ingest_connections_total", "Connections taken.", {{"listener", listener}})),
      messages(metrics.counter("postfleet_ingest_messages_total", "Messages accepted.", {{"listener", listener}})),
      recipients(
          metrics.counter("postfleet_ingest_recipients_total", "Recipients accepted.", {{"listener", listener}})),
      octets(metrics.counter("postfleet_ingest_octets_total", "Content octets accepted.", {{"listener", listener}})) {}

}  // namespace postfleet::ingest
