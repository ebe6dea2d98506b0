// The two modes of a queue, and the rest that a reply may prescribe for all of it.

#include <algorithm>
#include <utility>

#include "engine.hpp"
#include "queue.hpp"

namespace postfleet::sender {

void Queue::set_mode(QueueMode mode, const std::string& reason, Shard& shard) {
    const WallTime now = shard.executor->wall_now();
    ModeState state;
    {
        const std::lock_guard lock(mutex_);
        // Entering again changes nothing: the time to leave counts from the first reason.
        if (mode_.mode == mode) return;
        mode_ = {mode, now, schedule::kNever, reason};
        const config::DurationOrNever& stay = usual_settings_->backoff_leave_after;
        if (mode == QueueMode::Backoff && !stay.is_never()) {
            mode_.until = now + std::chrono::ceil<WallTime::duration>(stay.value);
        }
        apply_mode_locked();
        state = mode_;
    }
    engine_.report_mode(*this, state, shard);
    pump(shard, Spread::AllShards);
}

void Queue::restore_backoff(ModeState state) {
    const std::lock_guard lock(mutex_);
    mode_ = std::move(state);
    apply_mode_locked();
}

void Queue::apply_mode_locked() {
    const bool is_careful = mode_.mode == QueueMode::Backoff;
    settings_ =
        is_careful ? std::make_shared<const shaping::Settings>(shaping::in_backoff(*usual_settings_)) : usual_settings_;
    find_pace_locked();
    in_backoff_.store(is_careful, std::memory_order_relaxed);
}

// True once: its time in backoff is over.
bool Queue::has_served_its_time(WallTime now) const {
    if (!is_in_backoff()) return false;
    const std::lock_guard lock(mutex_);
    return mode_.mode == QueueMode::Backoff && mode_.until <= now;
}

void Queue::defer_all(std::string reason, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        deferred_until_ = shard.executor->now() + settings_->retry_after.front();
        deferred_reason_ = std::move(reason);
    }
    forget_content(shard.executor->now());
    pump(shard, Spread::AllShards);  // sets the timer
}

bool Queue::is_deferred_locked(SteadyTime now, SteadyTime& wake_at) const {
    if (now >= deferred_until_) return false;
    wake_at = std::min(wake_at, deferred_until_);
    return true;
}

}  // namespace postfleet::sender
