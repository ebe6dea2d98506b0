// SettledClock: wall time that a jump of the system's clock does not move at once. A machine that is set an hour or a year
// ahead by mistake must not expire the mail that waits, nor try all of it at the same moment.
//
//   the system's clock goes with the steady one, slewed perhaps ─▶ it is what counts
//   it jumps by more than kTolerance ─▶ time goes on as before, until the new time has lasted for kDoubt
//
// The steady time is one that also counts while the machine is suspended. Threads: confined. Time comes in as arguments.
#pragma once

#include <optional>

#include "postfleet/base/time.hpp"

namespace postfleet {

class SettledClock final {
public:
    static constexpr Duration kTolerance = std::chrono::minutes(1);
    static constexpr Duration kDoubt = std::chrono::hours(1);

    WallTime read(WallTime system, SteadyTime steady) {
        const WallTime expected =
            believed_at_ ? believed_ + std::chrono::floor<WallTime::duration>(steady - *believed_at_) : system;
        if ((system > expected ? system - expected : expected - system) <= kTolerance) {
            in_doubt_since_.reset();
        } else {
            if (!in_doubt_since_) in_doubt_since_ = steady;
            if (steady - *in_doubt_since_ < kDoubt) return expected;
            in_doubt_since_.reset();
        }
        believed_ = system;
        believed_at_ = steady;
        return system;
    }

private:
    WallTime believed_{};
    std::optional<SteadyTime> believed_at_;
    std::optional<SteadyTime> in_doubt_since_;
};

}  // namespace postfleet
