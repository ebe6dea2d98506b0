#include "postfleet/base/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace postfleet {
namespace {

constexpr std::array<double, Histogram::kBuckets - 1> kUpperBounds{
    1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};

bool is_metric_name(std::string_view name) {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    if (name.empty() || !is_letter(name[0])) return false;
    return std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

double Histogram::upper_bound_seconds(std::size_t bucket) {
    return bucket < kUpperBounds.size() ? kUpperBounds[bucket] : HUGE_VAL;
}

void Histogram::observe(double seconds) {
    if (!(seconds > 0)) seconds = 0;  // a clock that stepped back, or NaN
    const auto bound = std::lower_bound(kUpperBounds.begin(), kUpperBounds.end(), seconds);
    counts_[static_cast<std::size_t>(bound - kUpperBounds.begin())].fetch_add(1, std::memory_order_relaxed);
    const double microseconds = std::min(seconds * 1e6, 1e15);
    sum_microseconds_.fetch_add(static_cast<std::uint64_t>(std::llround(microseconds)), std::memory_order_relaxed);
}

std::array<std::uint64_t, Histogram::kBuckets> Histogram::counts() const {
    std::array<std::uint64_t, kBuckets> counts{};
    for (std::size_t i = 0; i < kBuckets; ++i) counts[i] = counts_[i].load(std::memory_order_relaxed);
    return counts;
}

double Histogram::sum_seconds() const {
    return static_cast<double>(sum_microseconds_.load(std::memory_order_relaxed)) / 1e6;
}

struct Metrics::Series {
    Counter counter;
    Gauge gauge;
    UniqueFunction<double()> read;         // computed gauges
    std::unique_ptr<Histogram> histogram;  // only where the family is one
};

struct Metrics::Group {
    std::string help;
    Kind kind;
    std::map<Labels, Series> series;  // nodes stay where they are: references into them are kept for good
};

Metrics::Metrics() = default;
Metrics::~Metrics() = default;

Metrics::Series& Metrics::series(const std::string& name, const std::string& help, Kind kind, const Labels& labels) {
    std::unique_ptr<Group>& group = groups_[name];
    if (group == nullptr) {
        require(is_metric_name(name));
        group = std::make_unique<Group>();
        group->help = help;
        group->kind = kind;
    }
    require(group->kind == kind);
    auto found = group->series.find(labels);
    if (found == group->series.end()) {
        Labels own = labels;
        if (group->series.size() >= kMaxSeries) {
            for (auto& [label, value] : own) value = "overflow";
        }
        for (const auto& [label, value] : own) require(is_metric_name(label));
        found = group->series.try_emplace(std::move(own)).first;
        if (kind == Kind::Histogram && found->second.histogram == nullptr) {
            found->second.histogram = std::make_unique<Histogram>();
        }
    }
    return found->second;
}

Counter& Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
    const std::lock_guard lock(mutex_);
    return series(name, help, Kind::Counter, labels).counter;
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
    const std::lock_guard lock(mutex_);
    return series(name, help, Kind::Gauge, labels).gauge;
}

Histogram& Metrics::histogram(const std::string& name, const std::string& help, const Labels& labels) {
    const std::lock_guard lock(mutex_);
    return *series(name, help, Kind::Histogram, labels).histogram;
}

void Metrics::computed_gauge(const std::string& name, const std::string& help, const Labels& labels,
                             UniqueFunction<double()> read) {
    const std::lock_guard computing(computing_);
    const std::lock_guard lock(mutex_);
    series(name, help, Kind::Gauge, labels).read = std::move(read);
}

std::vector<Metrics::Family> Metrics::collect() {
    const std::lock_guard computing(computing_);
    std::vector<std::pair<Sample*, Series*>> computed;
    std::vector<Family> families = read_values(computed);
    for (const auto& [sample, series] : computed) sample->value = series->read();
    return families;
}

// All that needs no call; series never go.
std::vector<Metrics::Family> Metrics::read_values(std::vector<std::pair<Sample*, Series*>>& computed) {
    const std::lock_guard lock(mutex_);
    std::vector<Family> families;
    families.reserve(groups_.size());
    for (auto& [name, group] : groups_) {
        Family& family = families.emplace_back(Family{name, group->help, group->kind, {}});
        family.samples.reserve(group->series.size());
        for (auto& [labels, series] : group->series) {
            Sample& sample = family.samples.emplace_back();
            sample.labels = labels;
            switch (group->kind) {
                case Kind::Counter: sample.value = static_cast<double>(series.counter.value()); break;
                case Kind::Gauge:
                    sample.value = static_cast<double>(series.gauge.value());
                    if (series.read) computed.emplace_back(&sample, &series);
                    break;
                case Kind::Histogram:
                    sample.bucket_counts = series.histogram->counts();
                    sample.sum_seconds = series.histogram->sum_seconds();
                    break;
            }
        }
    }
    return families;
}

}  // namespace postfleet
