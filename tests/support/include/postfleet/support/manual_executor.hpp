// ManualExecutor: an Executor that a test drives by hand, on a clock of its own.
//
// Nothing runs by itself. run_until_idle() runs what is posted and the timers that are due; advance() moves
// both clocks forward, stopping at every timer on the way, so that callbacks see the time they asked for.
// Time starts at 2026-01-01T00:00:00Z and stands still otherwise. run_until() is for ports with threads of
// their own: it waits (in real time) for posts from them.
//
// Threads: post() thread-safe; the rest belongs to the thread that made it.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "postfleet/base/executor.hpp"

namespace postfleet::support {

class ManualExecutor final : public Executor {
public:
    explicit ManualExecutor(unsigned shard = 0) : shard_(shard) {}

    void post(Callback task) override;
    TimerId schedule_at(SteadyTime when, Callback task) override;
    void cancel(TimerId timer) override;
    SteadyTime now() const override { return now_; }
    WallTime wall_now() const override { return wall_now_; }
    bool is_current_thread() const override { return std::this_thread::get_id() == owner_; }
    unsigned shard() const override { return shard_; }

    // How many callbacks ran.
    std::size_t run_until_idle();
    std::size_t advance(Duration duration);
    // Runs callbacks as they come until `holds()`; false when `real_time` is over first.
    bool run_until(UniqueFunction<bool()> holds, Duration real_time = std::chrono::seconds(10));
    // Steps the wall clock alone, as an administrator or NTP would.
    void set_wall_time(WallTime time) { wall_now_ = time; }

    std::size_t pending_timers() const { return timers_.size(); }
    std::size_t pending_posts();
    // When the next timer is due; SteadyTime::max() if there is none.
    SteadyTime next_timer() const { return timers_.empty() ? SteadyTime::max() : timers_.begin()->first.first; }

private:
    std::size_t run_posted();
    bool run_one_due_timer();

    const unsigned shard_;
    const std::thread::id owner_ = std::this_thread::get_id();
    SteadyTime now_{std::chrono::hours(1)};
    WallTime wall_now_{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};
    std::uint64_t last_timer_ = 0;
    // By time, then by the order in which they were set.
    std::map<std::pair<SteadyTime, std::uint64_t>, Callback> timers_;
    std::map<std::uint64_t, SteadyTime> timer_times_;

    std::mutex mutex_;
    std::condition_variable posted_;
    std::deque<Callback> posts_;
};

}  // namespace postfleet::support
