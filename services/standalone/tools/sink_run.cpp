// run_sink: the sink as a program: signals, progress, durable count, summary.
#include <fmt/format.h>

#include <cstdio>

#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "sink.hpp"
#include "tool_signals.hpp"

namespace postfleet::tools {

namespace {

constexpr std::size_t kListed = 20;  // domains and sources in the text summary

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

void write_summary_json(JsonWriter& json, const SinkCounts& counts, double seconds, bool has_ids) {
    json.begin_object().member("seconds", seconds).member("messages", counts.messages);
    json.member("recipients", counts.recipients).member("octets", counts.octets);
    json.member("connections", counts.connections).member("refused_connections", counts.refused_connections);
    json.member("rejected_recipients", counts.rejected_recipients);
    json.member("rejected_messages", counts.rejected_messages);
    json.member("unanswered_messages", counts.unanswered_messages);
    json.member("broken_transactions", counts.broken_transactions).member("violations", counts.violations);
    json.member("over_connections", counts.over_connections).member("over_messages", counts.over_messages);
    json.member("over_rate", counts.over_rate);
    if (has_ids) {
        std::vector<std::uint64_t> arrived = counts.deliveries, none;
        const DeliveryCheck check = check_deliveries(none, arrived);
        json.member("unique_deliveries", check.unique).member("duplicate_deliveries", check.duplicated);
        json.member("without_id", counts.without_id);
        json.member("latency_p50_ms", milliseconds(counts.latency.quantile(0.5)));
        json.member("latency_p99_ms", milliseconds(counts.latency.quantile(0.99)));
        json.member("latency_max_ms", milliseconds(counts.latency.max()));
    }
    json.key("recipients_by_domain").begin_object();
    for (const auto& [domain, count] : counts.recipients_by_domain) json.member(domain, count);
    json.end_object().key("messages_by_source").begin_object();
    for (const auto& [source, count] : counts.messages_by_source) json.member(source.to_string(), count);
    json.end_object().key("messages_by_second").begin_array();
    for (const std::uint64_t count : counts.messages_by_second) json.value(count);
    json.end_array().end_object();
}

template <class Counts, class Name>
void append_listed(std::string& out, std::string_view title, const Counts& counts, Name name) {
    if (counts.empty()) return;
    out += fmt::format("{}\n", title);
    std::size_t listed = 0;
    for (const auto& [key, count] : counts) {
        if (listed++ == kListed) {
            out += fmt::format("  … and {} more\n", counts.size() - kListed);
            break;
        }
        out += fmt::format("  {:<40} {:>12}\n", name(key), count);
    }
}

}  // namespace

std::string format_sink_summary(const SinkCounts& counts, double seconds, bool as_json, bool has_ids) {
    std::string out;
    if (as_json) {
        JsonWriter json(out);
        write_summary_json(json, counts, seconds, has_ids);
        return out += '\n';
    }
    const auto row = [&](std::string_view name, std::uint64_t count) {
        if (count != 0) out += fmt::format("{:<24} {:>12}\n", name, count);
    };
    out += fmt::format("{:<24} {:>12}   {} in {:.1f} s\n", "messages", counts.messages, format_size(counts.octets),
                       seconds);
    row("recipients", counts.recipients);
    row("connections", counts.connections);
    row("refused connections", counts.refused_connections);
    row("rejected recipients", counts.rejected_recipients);
    row("rejected messages", counts.rejected_messages);
    row("unanswered messages", counts.unanswered_messages);
    row("broken transactions", counts.broken_transactions);
    row("protocol violations", counts.violations);
    row("over the connections", counts.over_connections);
    row("over the messages", counts.over_messages);
    row("over the rate", counts.over_rate);
    if (has_ids) {
        std::vector<std::uint64_t> arrived = counts.deliveries, none;
        const DeliveryCheck check = check_deliveries(none, arrived);
        out += fmt::format("{:<24} {:>12}\n{:<24} {:>12}\n", "unique deliveries", check.unique, "duplicate deliveries",
                           check.duplicated);
        row("messages without id", counts.without_id);
        out += fmt::format("{:<24} p50 {:.1f} ms, p99 {:.1f} ms, max {:.1f} ms\n", "latency",
                           milliseconds(counts.latency.quantile(0.5)), milliseconds(counts.latency.quantile(0.99)),
                           milliseconds(counts.latency.max()));
    }
    append_listed(out, "recipients by domain", counts.recipients_by_domain,
                  [](const auto& d) { return printable(d, 40); });
    append_listed(out, "messages by source", counts.messages_by_source, [](const auto& ip) { return ip.to_string(); });
    return out;
}

int run_sink(const SinkOptions& options) {
    const BlockedSignals signals;
    Result<std::unique_ptr<Sink>> opened = Sink::open(options);
    if (!opened) {
        fmt::print(stderr, "postfleet sink: {}\n", opened.error().text);
        return 1;
    }
    Sink& sink = **opened;
    sink.start();
    for (const Endpoint& address : sink.addresses()) fmt::print(stderr, "listening on {}\n", address.to_string());
    const SteadyTime start = steady_clock_now();
    SteadyTime next_report = start + std::chrono::seconds(1);
    std::uint64_t reported = 0;
    // A benchmark stops its clock when a sink with quit_after ends.
    const Duration poll = options.quit_after != 0 ? std::chrono::milliseconds(2) : std::chrono::milliseconds(100);
    for (;;) {
        const bool is_over = sink.finished() || signals.wait(poll);
        const SteadyTime now = steady_clock_now();
        if (is_over) break;
        if (now < next_report) continue;
        next_report += std::chrono::seconds(1);
        const std::uint64_t messages = sink.messages();
        sink.write_count();
        if (options.progress) {
            fmt::print(stderr, "{:>6.0f} s  {:>12} messages  {:>8}/s  {:>6} connections\n",
                       std::chrono::duration<double>(now - start).count(), messages, messages - reported,
                       sink.connections_now());
        }
        reported = messages;
    }
    sink.stop();
    sink.write_count();
    const double seconds = std::chrono::duration<double>(steady_clock_now() - start).count();
    fmt::print("{}", format_sink_summary(sink.counts(), seconds, options.json, !options.id_header.empty()));
    return 0;
}

}  // namespace postfleet::tools
