// LatencyHistogram: how long things took, in buckets about 1.6 % wide, from a microsecond to hours.
//
// Memory is fixed; adding costs a few nanoseconds. Threads: confined; merge what several threads have.
#pragma once

#include <array>
#include <cstdint>

#include "postfleet/base/time.hpp"

namespace postfleet::tools {

class LatencyHistogram {
public:
    void add(Duration latency);
    void merge(const LatencyHistogram& other);

    std::uint64_t count() const { return count_; }
    Duration max() const { return max_; }
    // The latency that `fraction` (0 … 1) of all stay at or below; zero when there are none.
    Duration quantile(double fraction) const;

private:
    static constexpr unsigned kSubBits = 6;  // 64 buckets per power of two
    static constexpr unsigned kPowers = 36;
    static std::size_t bucket_of(std::uint64_t microseconds);
    static std::uint64_t upper_bound_of(std::size_t bucket);

    std::array<std::uint64_t, (kPowers + 1) << kSubBits> buckets_{};
    std::uint64_t count_ = 0;
    Duration max_{};
};

}  // namespace postfleet::tools
