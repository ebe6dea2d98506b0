// QuietWatch: finds out that a consumer gets nothing although something waits for it (RMQ-21).
//
//   nothing for `patience` ─▶ the queue is asked what waits ─▶ nothing: all is well
//                                    ▲                     └▶ some: again after `patience`; still some, and nothing
//                                    └────────────────────────┘     came in between: stuck
//
// Threads: confined.
#pragma once

#include <cstdint>

#include "postfleet/base/time.hpp"

namespace postfleet::amqp {

class QuietWatch final {
public:
    explicit QuietWatch(Duration patience) : patience_(patience) {}

    // Something came, or nothing could have: counted from now.
    void reset(SteadyTime now) {
        since_ = now;
        has_waited_ = false;
    }
    SteadyTime due() const { return since_ + patience_; }
    bool is_time_to_ask(SteadyTime now) const { return now >= due(); }
    // What the queue answered. True: it is stuck.
    bool on_answer(std::uint32_t waiting, SteadyTime now) {
        const bool was_so = has_waited_;
        reset(now);
        has_waited_ = waiting > 0;
        return was_so && has_waited_;
    }

private:
    const Duration patience_;
    SteadyTime since_{};
    bool has_waited_ = false;
};

}  // namespace postfleet::amqp
