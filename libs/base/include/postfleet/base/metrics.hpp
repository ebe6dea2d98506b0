// Counter, Gauge, Histogram and the Metrics registry: what a service counts, cheap enough for every message.
//
// A counter is a relaxed atomic on a cache line of its own; one update costs a few nanoseconds and never
// waits. Registering takes a lock and happens at start or at the first use of a label set; keep the
// reference. Names follow Prometheus' rules: postfleet_<what>_<unit>_total. The exporter reads; it never
// resets. The number of label sets per name is bounded (kMaxSeries); beyond it everything falls into one
// series whose label values are all "overflow". One name with two kinds, or a name that Prometheus would
// not take, is a bug.
//
// Threads: thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/function.hpp"

namespace postfleet {

class alignas(64) Counter {
public:
    void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

class alignas(64) Gauge {
public:
    void set(std::int64_t n) { value_.store(n, std::memory_order_relaxed); }
    void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
    std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::int64_t> value_{0};
};

// Latencies in seconds, in fixed buckets from 100 us to 1000 s (1, 2, 5 steps) and one above.
class alignas(64) Histogram {
public:
    static constexpr std::size_t kBuckets = 23;
    static double upper_bound_seconds(std::size_t bucket);  // the last bucket is +Inf
    void observe(double seconds);

    std::array<std::uint64_t, kBuckets> counts() const;  // of each bucket alone, not cumulative
    double sum_seconds() const;

private:
    std::array<std::atomic<std::uint64_t>, kBuckets> counts_{};
    std::atomic<std::uint64_t> sum_microseconds_{0};
};

using Labels = std::vector<std::pair<std::string, std::string>>;

class Metrics {
public:
    static constexpr std::size_t kMaxSeries = 10'000;

    Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
    Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
    Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels = {});
    // A gauge that is computed when it is read. `read` runs on the exporter's thread, and may take the locks of whoever
    // registers other metrics. Given again for the same labels, it replaces the one before; nobody gives one while
    // holding a lock that `read` takes.
    void computed_gauge(const std::string& name, const std::string& help, const Labels& labels,
                        UniqueFunction<double()> read);

    enum class Kind { Counter, Gauge, Histogram };
    struct Sample {
        Labels labels;
        double value = 0;                                                  // Counter, Gauge
        std::array<std::uint64_t, Histogram::kBuckets> bucket_counts{};    // Histogram
        double sum_seconds = 0;
    };
    struct Family {
        std::string name, help;
        Kind kind;
        std::vector<Sample> samples;
    };
    std::vector<Family> collect();

private:
    struct Series;
    struct Group;
    std::vector<Family> read_values(std::vector<std::pair<Sample*, Series*>>& computed);
    Series& series(const std::string& name, const std::string& help, Kind kind, const Labels& labels);

    std::mutex computing_;  // before mutex_; for every Series::read
    std::mutex mutex_;
    std::map<std::string, std::unique_ptr<Group>> groups_;

public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;
};

}  // namespace postfleet
