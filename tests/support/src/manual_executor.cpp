#include "postfleet/support/manual_executor.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::support {

void ManualExecutor::post(Callback task) {
    // Notified under the lock: the test may end, and this executor with it, as soon as it sees the post.
    const std::lock_guard lock(mutex_);
    posts_.push_back(std::move(task));
    posted_.notify_one();
}

TimerId ManualExecutor::schedule_at(SteadyTime when, Callback task) {
    require(is_current_thread());
    const std::uint64_t id = ++last_timer_;
    timers_.emplace(std::pair(when, id), std::move(task));
    timer_times_.emplace(id, when);
    return TimerId{id};
}

void ManualExecutor::cancel(TimerId timer) {
    require(is_current_thread());
    const auto found = timer_times_.find(timer.value);
    if (found == timer_times_.end()) return;
    timers_.erase({found->second, timer.value});
    timer_times_.erase(found);
}

// Only what is there now: a task that posts itself again must not keep the clock standing.
std::size_t ManualExecutor::run_posted() {
    std::deque<Callback> batch;
    {
        const std::lock_guard lock(mutex_);
        batch.swap(posts_);
    }
    for (Callback& task : batch) task();
    return batch.size();
}

bool ManualExecutor::run_one_due_timer() {
    if (timers_.empty() || timers_.begin()->first.first > now_) return false;
    auto due = timers_.extract(timers_.begin());
    timer_times_.erase(due.key().second);
    due.mapped()();
    return true;
}

std::size_t ManualExecutor::run_until_idle() {
    require(is_current_thread());
    // A loop that never comes to rest is a bug in the code under test; better a failure than a hang.
    constexpr std::size_t kRunaway = 10'000'000;
    std::size_t ran = 0;
    for (;;) {
        const std::size_t before = ran;
        ran += run_posted();
        if (run_one_due_timer()) ++ran;
        if (ran == before) return ran;
        require(ran < kRunaway);
    }
}

std::size_t ManualExecutor::advance(Duration duration) {
    std::size_t ran = run_until_idle();
    const SteadyTime end = now_ + duration;
    while (now_ < end) {
        const SteadyTime stop = std::min(end, std::max(now_, next_timer()));
        // Whole microseconds since the start, so that many small steps do not lose what one large one keeps.
        const auto elapsed = [](SteadyTime t) { return std::chrono::floor<std::chrono::microseconds>(t); };
        wall_now_ += elapsed(stop) - elapsed(now_);
        now_ = stop;
        ran += run_until_idle();
    }
    return ran;
}

bool ManualExecutor::run_until(UniqueFunction<bool()> holds, Duration real_time) {
    const auto deadline = std::chrono::steady_clock::now() + real_time;
    for (;;) {
        run_until_idle();
        if (holds()) return true;
        std::unique_lock lock(mutex_);
        if (!posted_.wait_until(lock, deadline, [this] { return !posts_.empty(); })) return false;
    }
}

std::size_t ManualExecutor::pending_posts() {
    const std::lock_guard lock(mutex_);
    return posts_.size();
}

}  // namespace postfleet::support
