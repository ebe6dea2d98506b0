// SenderMetrics: what the sender counts, registered once.
//
// By queue there are few numbers (the registry bounds the label sets); by reply class and phase there are none
// here: events have the details. Threads: thread-safe.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "outcome.hpp"
#include "postfleet/base/metrics.hpp"

namespace postfleet::sender {

struct SenderMetrics {
    explicit SenderMetrics(Metrics& metrics)
        : registry(metrics),
          accepted_messages(metrics.counter("postfleet_sender_accepted_messages_total",
                                            "Messages made durable by the sender's take-in")),
          delivered(metrics.counter("postfleet_sender_delivered_recipients_total", "Recipients delivered")),
          deferred(metrics.counter("postfleet_sender_deferred_recipients_total", "Attempts that were deferred")),
          bounced(metrics.counter("postfleet_sender_bounced_recipients_total", "Recipients bounced")),
          expired(metrics.counter("postfleet_sender_expired_recipients_total", "Recipients expired")),
          cancelled(metrics.counter("postfleet_sender_cancelled_recipients_total", "Recipients cancelled")),
          suppressed(metrics.counter("postfleet_sender_suppressed_recipients_total", "Recipients suppressed")),
          rendering_failed(metrics.counter("postfleet_sender_rendering_failed_recipients_total",
                                           "Recipients whose text could not be merged")),
          outcome_unknown(metrics.counter("postfleet_sender_unknown_outcomes_total",
                                          "Connections lost between the final dot and its reply")),
          damaged(metrics.counter("postfleet_sender_damaged_records_total",
                                  "Tasks given up because the spool could not read them")),
          held_messages(metrics.gauge("postfleet_sender_held_messages",
                                      "Messages in the spool of which some recipient has not ended")),
          held_octets(metrics.gauge("postfleet_sender_held_octets", "Their content")),
          connections(metrics.gauge("postfleet_sender_connections", "Connections that count against limits")),
          connect_failures(metrics.counter("postfleet_sender_connect_failures_total",
                                           "Addresses at which no session could be opened")),
          tls_handshakes(metrics.counter("postfleet_sender_tls_handshakes_total", "TLS handshakes that succeeded")),
          tls_resumed(
              metrics.counter("postfleet_sender_tls_resumed_total", "TLS handshakes that resumed an earlier session")),
          tls_failures(
              metrics.counter("postfleet_sender_tls_failures_total", "STARTTLS refused, or a handshake that failed")),
          signatures(metrics.counter("postfleet_sender_dkim_signatures_total", "DKIM signatures made")),
          login_refusals(metrics.counter("postfleet_sender_login_refusals_total", "Logins that smart hosts refused")),
          content_reads(metrics.counter("postfleet_sender_content_reads_total",
                                        "Attempts that read their content from the spool")),
          unrecorded(metrics.gauge("postfleet_sender_unrecorded_outcomes", "Outcomes that are not durable yet")),
          delivery_seconds(metrics.histogram("postfleet_sender_delivery_seconds",
                                             "From acceptance to the remote's 250, first attempts and retries")),
          attempt_seconds(metrics.histogram("postfleet_sender_attempt_seconds",
                                            "From the first command of a transaction to its last reply")) {
        held_messages.set(0);
        held_octets.set(0);
    }

    void count(const OutcomeCounts& counts) {
        if (counts.delivered > 0) delivered.add(counts.delivered);
        if (counts.deferred > 0) deferred.add(counts.deferred);
        if (counts.bounced > 0) bounced.add(counts.bounced);
        if (counts.expired > 0) expired.add(counts.expired);
        if (counts.cancelled > 0) cancelled.add(counts.cancelled);
        if (counts.suppressed > 0) suppressed.add(counts.suppressed);
        if (counts.rendering_failed > 0) rendering_failed.add(counts.rendering_failed);
    }

    Counter& of_queue(const std::string& what, const std::string& queue) {
        return registry.counter("postfleet_queue_" + what + "_recipients_total", "Recipients " + what + ", by queue",
                                {{"queue", queue}});
    }

    void count_notification(const std::string& action) {
        registry
            .counter("postfleet_sender_notifications_total", "Notifications that senders get by mail",
                     {{"action", action}})
            .add();
    }
    void count_suppressed_notification(std::string_view reason) {
        registry
            .counter("postfleet_sender_notifications_suppressed_total", "Senders who were not told, by the reason",
                     {{"reason", std::string(reason)}})
            .add();
    }

    // The gauge appears with the first suspension of a virtual MTA.
    void count_suspended(const std::string& virtual_mta, std::size_t count) {
        const std::lock_guard lock(suspended_mutex_);
        if (count == 0 && !suspended_.contains(virtual_mta)) return;
        suspended_.insert(virtual_mta);
        registry
            .gauge("postfleet_virtual_mta_suspended_sources", "Source addresses and proxies out of rotation",
                   {{"virtual_mta", virtual_mta}})
            .set(static_cast<std::int64_t>(count));
    }

    Metrics& registry;
    Counter& accepted_messages;
    Counter &delivered, &deferred, &bounced, &expired, &cancelled, &suppressed, &rendering_failed;
    Counter& outcome_unknown;
    Counter& damaged;
    Gauge& held_messages;  // whose tasks are not all done
    Gauge& held_octets;
    Gauge& connections;
    Counter& connect_failures;
    Counter &tls_handshakes, &tls_resumed, &tls_failures;
    Counter& signatures;
    Counter& login_refusals;
    Counter& content_reads;
    Gauge& unrecorded;
    Histogram& delivery_seconds;
    Histogram& attempt_seconds;

private:
    std::mutex suspended_mutex_;
    std::set<std::string> suspended_;
};

}  // namespace postfleet::sender
