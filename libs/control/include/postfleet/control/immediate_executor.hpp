// ImmediateExecutor: runs every task at once, on the thread that posts it; for commands that ask one question and end.
// Threads: none of its own. Timers never fire.
#pragma once

#include "postfleet/base/executor.hpp"

namespace postfleet::control {

class ImmediateExecutor final : public Executor {
public:
    void post(Callback task) override { task(); }
    TimerId schedule_at(SteadyTime, Callback) override { return {}; }
    void cancel(TimerId) override {}
    SteadyTime now() const override { return steady_clock_now(); }
    WallTime wall_now() const override { return wall_clock_now(); }
    bool is_current_thread() const override { return false; }
    unsigned shard() const override { return 0; }
};

}  // namespace postfleet::control
