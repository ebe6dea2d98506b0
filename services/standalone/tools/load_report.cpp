#include <fmt/format.h>

#include <algorithm>

#include "load_counts.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::tools {

namespace {

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double per_second(std::uint64_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

void write_latency(JsonWriter& json, std::string_view name, const LatencyHistogram& latency) {
    json.key(name).begin_object();
    json.member("p50", milliseconds(latency.quantile(0.5))).member("p90", milliseconds(latency.quantile(0.9)));
    json.member("p99", milliseconds(latency.quantile(0.99))).member("max", milliseconds(latency.max()));
    json.end_object();
}

std::string format_latency(const LatencyHistogram& latency) {
    return fmt::format("p50 {:.1f} ms, p90 {:.1f} ms, p99 {:.1f} ms, max {:.1f} ms",
                       milliseconds(latency.quantile(0.5)), milliseconds(latency.quantile(0.9)),
                       milliseconds(latency.quantile(0.99)), milliseconds(latency.max()));
}

std::string format_json(const LoadReport& report) {
    const LoadCounts& counts = report.counts;
    std::string out;
    JsonWriter json(out);
    json.begin_object().member("ok", report.is_good()).member("failure", report.failure);
    json.member("interrupted", report.was_interrupted);
    json.member("seconds", report.seconds).member("accepted", counts.accepted);
    json.member("accepted_per_second", per_second(counts.accepted, report.seconds));
    json.member("accepted_recipients", counts.accepted_recipients);
    json.member("refused_recipients", counts.refused_recipients).member("deferred", counts.deferred);
    json.member("rejected", counts.rejected).member("unknown", counts.unknown).member("aborted", counts.aborted);
    json.member("retries", counts.retries).member("connections", counts.connections);
    json.member("lost_connections", counts.lost_connections).member("first_refusal", counts.first_refusal);
    json.member("cpu_seconds", report.cpu_seconds);
    write_latency(json, "accept_ms", counts.transaction);
    if (report.has_sink) {
        json.key("end_to_end").begin_object();
        json.member("seconds", report.end_to_end_seconds).member("received", report.sink.recipients);
        json.member("received_per_second", per_second(report.sink.messages, report.end_to_end_seconds));
        json.member("lost", report.check.lost).member("duplicated", report.check.duplicated);
        json.member("unexpected", report.check.unexpected);
        json.member("connections", report.sink.connections);
        write_latency(json, "latency_ms", report.sink.latency);
        json.end_object();
    }
    json.end_object();
    return out += '\n';
}

}  // namespace

void LoadCounts::merge(const LoadCounts& other) {
    accepted += other.accepted;
    accepted_recipients += other.accepted_recipients;
    refused_recipients += other.refused_recipients;
    deferred += other.deferred;
    rejected += other.rejected;
    unknown += other.unknown;
    aborted += other.aborted;
    retries += other.retries;
    connections += other.connections;
    lost_connections += other.lost_connections;
    transaction.merge(other.transaction);
    deliveries.insert(deliveries.end(), other.deliveries.begin(), other.deliveries.end());
    if (first_refusal.empty()) first_refusal = other.first_refusal;
}

bool LoadReport::is_good() const {
    const bool was_accepted = failure.empty() && !was_interrupted && counts.refused_recipients == 0 &&
                              counts.deferred + counts.rejected + counts.unknown + counts.aborted == 0;
    return was_accepted && (!has_sink || check.lost + check.duplicated + check.unexpected == 0);
}

std::string format_load_report(LoadReport& report, bool as_json) {
    if (as_json) return format_json(report);
    const LoadCounts& counts = report.counts;
    std::string out;
    const auto row = [&](std::string_view name, std::uint64_t count) {
        if (count != 0) out += fmt::format("{:<22} {:>12}\n", name, count);
    };
    out += fmt::format("{:<22} {:>12}   {:.0f}/s in {:.2f} s\n", "accepted", counts.accepted,
                       per_second(counts.accepted, report.seconds), report.seconds);
    if (counts.accepted_recipients != counts.accepted) row("accepted recipients", counts.accepted_recipients);
    row("refused recipients", counts.refused_recipients);
    row("deferred", counts.deferred);
    row("rejected", counts.rejected);
    row("outcome unknown", counts.unknown);
    row("aborted", counts.aborted);
    row("retries", counts.retries);
    row("connections", counts.connections);
    row("lost connections", counts.lost_connections);
    out += fmt::format("{:<22} {}\n", "accept latency", format_latency(counts.transaction));
    if (report.has_sink) {
        out += fmt::format("{:<22} {:>12}   {:.0f}/s in {:.2f} s, over {} connections\n", "received",
                           report.sink.recipients, per_second(report.sink.messages, report.end_to_end_seconds),
                           report.end_to_end_seconds, report.sink.connections);
        out += fmt::format("{:<22} {:>12}\n{:<22} {:>12}\n", "lost", report.check.lost, "duplicated",
                           report.check.duplicated);
        row("unexpected", report.check.unexpected);
        out += fmt::format("{:<22} {}\n", "end-to-end latency", format_latency(report.sink.latency));
    }
    if (!counts.first_refusal.empty()) {
        out += fmt::format("{:<22} {}\n", "first refusal", printable(counts.first_refusal, 200));
    }
    if (!report.failure.empty()) out += fmt::format("{:<22} {}\n", "gave up", report.failure);
    if (report.was_interrupted) out += "interrupted\n";
    return out;
}

}  // namespace postfleet::tools
