#include "tools/latency.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

namespace postfleet::tools {
namespace {

using std::chrono::microseconds;

TEST_CASE("quantiles are within two percent of the exact ones") {
    std::mt19937 random(3);
    LatencyHistogram histogram;
    std::vector<std::int64_t> all;
    for (int i = 0; i < 50'000; ++i) {
        const auto value = static_cast<std::int64_t>(std::exp2(static_cast<double>(random() % 3000) / 100.0));
        all.push_back(value);
        histogram.add(microseconds(value));
    }
    std::sort(all.begin(), all.end());
    for (const double fraction : {0.01, 0.5, 0.9, 0.99, 0.999}) {
        const double exact = static_cast<double>(all[static_cast<std::size_t>(fraction * 50'000) - 1]);
        const double found = std::chrono::duration<double, std::micro>(histogram.quantile(fraction)).count();
        CHECK(found >= exact);
        CHECK(found <= exact * 1.02 + 1);
    }
    CHECK(histogram.quantile(1) == microseconds(all.back()));
}

TEST_CASE("small latencies are exact, none is zero, and huge ones do not overflow") {
    LatencyHistogram histogram;
    CHECK(histogram.quantile(0.5) == Duration::zero());
    histogram.add(microseconds(7));
    CHECK(histogram.quantile(0.5) == microseconds(7));
    histogram.add(std::chrono::hours(1'000'000));
    CHECK(histogram.quantile(1) > std::chrono::hours(10));
    histogram.add(microseconds(-5));
    CHECK(histogram.quantile(0) == Duration::zero());
}

TEST_CASE("merging is the same as adding to one") {
    LatencyHistogram one, two, both;
    for (int i = 1; i < 1000; ++i) {
        (i % 3 == 0 ? one : two).add(microseconds(i * i));
        both.add(microseconds(i * i));
    }
    one.merge(two);
    CHECK(one.count() == both.count());
    CHECK(one.quantile(0.7) == both.quantile(0.7));
    CHECK(one.max() == both.max());
}

}  // namespace
}  // namespace postfleet::tools
