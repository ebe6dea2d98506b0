#include "latency.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace postfleet::tools {

std::size_t LatencyHistogram::bucket_of(std::uint64_t microseconds) {
    constexpr std::uint64_t kExact = 1u << kSubBits;
    if (microseconds < kExact) return microseconds;
    const unsigned power = static_cast<unsigned>(std::bit_width(microseconds)) - 1 - kSubBits;
    if (power >= kPowers) return ((kPowers + 1) << kSubBits) - 1;
    return ((power + 1) << kSubBits) + ((microseconds >> power) - kExact);
}

std::uint64_t LatencyHistogram::upper_bound_of(std::size_t bucket) {
    constexpr std::uint64_t kExact = 1u << kSubBits;
    if (bucket < kExact) return bucket;
    const std::size_t power = (bucket >> kSubBits) - 1;
    return (((bucket & (kExact - 1)) + kExact + 1) << power) - 1;
}

void LatencyHistogram::add(Duration latency) {
    const auto microseconds =
        std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::microseconds>(latency).count());
    ++buckets_[bucket_of(static_cast<std::uint64_t>(microseconds))];
    ++count_;
    max_ = std::max(max_, latency);
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
}

Duration LatencyHistogram::quantile(double fraction) const {
    if (count_ == 0) return Duration::zero();
    const auto rank =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_))));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen >= rank) return std::min<Duration>(std::chrono::microseconds(upper_bound_of(i)), max_);
    }
    return max_;
}

}  // namespace postfleet::tools
