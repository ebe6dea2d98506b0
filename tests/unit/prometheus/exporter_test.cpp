#include "postfleet/prometheus/exporter.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using Catch::Matchers::Contains;

TEST_CASE("counters and gauges come with help, type and labels") {
    Metrics metrics;
    metrics.counter("postfleet_messages_total", "Messages accepted.", {{"listener", "relay"}}).add(3);
    metrics.gauge("postfleet_connections", "Open connections.").set(-2);
    const std::string text = PrometheusExporter(metrics).text();
    CHECK_THAT(text, Contains("# HELP postfleet_messages_total Messages accepted.\n"));
    CHECK_THAT(text, Contains("# TYPE postfleet_messages_total counter\n"));
    CHECK_THAT(text, Contains("postfleet_messages_total{listener=\"relay\"} 3\n"));
    CHECK_THAT(text, Contains("# TYPE postfleet_connections gauge\n"));
    CHECK_THAT(text, Contains("postfleet_connections -2\n"));
}

TEST_CASE("histogram buckets are cumulative and end with +Inf") {
    Metrics metrics;
    Histogram& latency = metrics.histogram("postfleet_sync_seconds", "Time of one sync.");
    latency.observe(0.00015);
    latency.observe(0.003);
    latency.observe(5'000);
    const std::string text = PrometheusExporter(metrics).text();
    CHECK_THAT(text, Contains("postfleet_sync_seconds_bucket{le=\"0.0001\"} 0\n"));
    CHECK_THAT(text, Contains("postfleet_sync_seconds_bucket{le=\"0.0002\"} 1\n"));
    CHECK_THAT(text, Contains("postfleet_sync_seconds_bucket{le=\"0.005\"} 2\n"));
    CHECK_THAT(text, Contains("postfleet_sync_seconds_bucket{le=\"+Inf\"} 3\n"));
    CHECK_THAT(text, Contains("postfleet_sync_seconds_count 3\n"));
}

TEST_CASE("a computed gauge is read at every scrape") {
    Metrics metrics;
    int calls = 0;
    metrics.computed_gauge("postfleet_calls", "Calls.", {}, [&] { return static_cast<double>(++calls); });
    PrometheusExporter exporter(metrics);
    CHECK_THAT(exporter.text(), Contains("postfleet_calls 1\n"));
    CHECK_THAT(exporter.text(), Contains("postfleet_calls 2\n"));
}

TEST_CASE("label values are escaped") {
    Metrics metrics;
    metrics.counter("postfleet_x_total", "X.", {{"name", "a\"b\\c\nd"}}).add();
    CHECK_THAT(PrometheusExporter(metrics).text(), Contains("{name=\"a\\\"b\\\\c\\nd\"} 1"));
}
