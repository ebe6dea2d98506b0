#include "postfleet/prometheus/exporter.hpp"

#include <limits>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace postfleet {
namespace {

prometheus::MetricType type_of(Metrics::Kind kind) {
    switch (kind) {
        case Metrics::Kind::Counter: return prometheus::MetricType::Counter;
        case Metrics::Kind::Gauge: return prometheus::MetricType::Gauge;
        case Metrics::Kind::Histogram: return prometheus::MetricType::Histogram;
    }
    return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram histogram_of(const Metrics::Sample& sample) {
    prometheus::ClientMetric::Histogram histogram;
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
        cumulative += sample.bucket_counts[i];
        const bool last = i + 1 == Histogram::kBuckets;
        histogram.bucket.push_back(
            {cumulative, last ? std::numeric_limits<double>::infinity() : Histogram::upper_bound_seconds(i)});
    }
    histogram.sample_count = cumulative;
    histogram.sample_sum = sample.sum_seconds;
    return histogram;
}

class MetricsCollectable final : public prometheus::Collectable {
public:
    explicit MetricsCollectable(Metrics& metrics) : metrics_(metrics) {}

    std::vector<prometheus::MetricFamily> Collect() const override {
        std::vector<prometheus::MetricFamily> families;
        for (const Metrics::Family& family : metrics_.collect()) {
            prometheus::MetricFamily& out = families.emplace_back();
            out.name = family.name;
            out.help = family.help;
            out.type = type_of(family.kind);
            for (const Metrics::Sample& sample : family.samples) {
                prometheus::ClientMetric& metric = out.metric.emplace_back();
                for (const auto& [name, value] : sample.labels) metric.label.push_back({name, value});
                if (family.kind == Metrics::Kind::Counter) metric.counter.value = sample.value;
                if (family.kind == Metrics::Kind::Gauge) metric.gauge.value = sample.value;
                if (family.kind == Metrics::Kind::Histogram) metric.histogram = histogram_of(sample);
            }
        }
        return families;
    }

private:
    Metrics& metrics_;
};

}  // namespace

std::string PrometheusExporter::text() const {
    return prometheus::TextSerializer().Serializer::Serialize(MetricsCollectable(metrics_).Collect());
}

}  // namespace postfleet
