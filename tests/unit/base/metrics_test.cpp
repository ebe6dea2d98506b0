#include "postfleet/base/metrics.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <thread>

using postfleet::Counter;
using postfleet::Histogram;
using postfleet::Labels;
using postfleet::Metrics;

TEST_CASE("the same name and labels are the same counter") {
    Metrics metrics;
    Counter& a = metrics.counter("postfleet_x_total", "x", {{"queue", "a"}});
    a.add();
    metrics.counter("postfleet_x_total", "x", {{"queue", "a"}}).add(2);
    metrics.counter("postfleet_x_total", "x", {{"queue", "b"}}).add(5);
    CHECK(a.value() == 3);
    const auto families = metrics.collect();
    REQUIRE(families.size() == 1);
    CHECK(families[0].name == "postfleet_x_total");
    CHECK(families[0].help == "x");
    CHECK(families[0].kind == Metrics::Kind::Counter);
    REQUIRE(families[0].samples.size() == 2);
    CHECK(families[0].samples[0].labels == Labels{{"queue", "a"}});
    CHECK(families[0].samples[0].value == 3);
    CHECK(families[0].samples[1].value == 5);
}

TEST_CASE("gauges go up and down; computed ones ask when they are read, and the last one given counts") {
    Metrics metrics;
    auto& gauge = metrics.gauge("postfleet_open", "open");
    gauge.set(10);
    gauge.add(-15);
    double seen = 1.5;
    metrics.computed_gauge("postfleet_seen", "seen", {}, [] { return 0.0; });
    metrics.computed_gauge("postfleet_seen", "seen", {}, [&] { return seen; });
    seen = 2.5;
    const auto families = metrics.collect();
    REQUIRE(families.size() == 2);
    CHECK(families[0].samples.at(0).value == -5);
    REQUIRE(families[1].samples.size() == 1);
    CHECK(families[1].samples[0].value == 2.5);
}

TEST_CASE("what is asked while it is read may wait for somebody who registers something") {
    Metrics metrics;
    metrics.computed_gauge("postfleet_ready", "ready", {}, [&] {
        std::thread([&] { metrics.counter("postfleet_x_total", "x").add(); }).join();
        return 1.0;
    });
    CHECK(metrics.collect().at(0).samples.at(0).value == 1);
    CHECK(metrics.counter("postfleet_x_total", "x").value() == 1);
}

TEST_CASE("a latency falls into the bucket whose bound it does not exceed") {
    Histogram histogram;
    histogram.observe(0);
    histogram.observe(1e-4);
    histogram.observe(1.0001e-4);
    histogram.observe(1000);
    histogram.observe(1000.1);
    histogram.observe(-3);
    histogram.observe(std::nan(""));
    histogram.observe(std::numeric_limits<double>::infinity());
    const auto counts = histogram.counts();
    CHECK(counts[0] == 4);
    CHECK(counts[1] == 1);
    CHECK(counts[Histogram::kBuckets - 2] == 1);
    CHECK(counts[Histogram::kBuckets - 1] == 2);
    CHECK(Histogram::upper_bound_seconds(0) == 1e-4);
    CHECK(Histogram::upper_bound_seconds(Histogram::kBuckets - 2) == 1000);
    CHECK(std::isinf(Histogram::upper_bound_seconds(Histogram::kBuckets - 1)));
    for (std::size_t i = 1; i < Histogram::kBuckets; ++i) {
        CHECK(Histogram::upper_bound_seconds(i - 1) < Histogram::upper_bound_seconds(i));
    }
}

TEST_CASE("sums are exact to the microsecond") {
    Histogram histogram;
    histogram.observe(0.25);
    histogram.observe(1.5);
    CHECK(histogram.sum_seconds() == Approx(1.75));
}

TEST_CASE("beyond the limit of series everything falls into one, labelled overflow") {
    Metrics metrics;
    for (std::size_t i = 0; i < Metrics::kMaxSeries + 100; ++i) {
        metrics.counter("postfleet_many_total", "many", {{"domain", std::to_string(i)}}).add();
    }
    metrics.counter("postfleet_many_total", "many", {{"domain", "7"}}).add();  // known before: still its own
    const auto families = metrics.collect();
    REQUIRE(families.at(0).samples.size() == Metrics::kMaxSeries + 1);
    double overflow = 0;
    double seventh = 0;
    for (const auto& sample : families[0].samples) {
        if (sample.labels == Labels{{"domain", "overflow"}}) overflow = sample.value;
        if (sample.labels == Labels{{"domain", "7"}}) seventh = sample.value;
    }
    CHECK(overflow == 100);
    CHECK(seventh == 2);
    metrics.counter("postfleet_other_total", "other").add();  // other names have room
    CHECK(metrics.collect().size() == 2);
}

TEST_CASE("histograms overflow as counters do") {
    Metrics metrics;
    for (std::size_t i = 0; i < Metrics::kMaxSeries + 2; ++i) {
        metrics.histogram("postfleet_seconds", "s", {{"q", std::to_string(i)}}).observe(0.5);
    }
    CHECK(metrics.histogram("postfleet_seconds", "s", {{"q", "one more"}}).sum_seconds() == Approx(1.0));
}

TEST_CASE("no update is lost among threads, and references stay good while others register") {
    Metrics metrics;
    Counter& counter = metrics.counter("postfleet_shared_total", "shared");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 2000; ++i) {
                counter.add();
                metrics.gauge("postfleet_g", "g", {{"i", std::to_string(i * 4 + t)}}).set(i);
                if (i % 500 == 0) metrics.collect();
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(counter.value() == 8000);
}
