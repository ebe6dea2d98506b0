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

// --- mail that leaves for another virtual MTA ----------------------------------------------------------

bool Queue::wants_to_move_locked(SteadyTime now, WallTime wall_now) const {
    const bool is_rerouted = is_in_backoff() && !settings_->backoff_reroute_to.text.empty();
    return (is_rerouted || !has_warm_up_left_locked(wall_now)) && now >= stays_until_;
}

// True: ready mail is not for the sessions of this queue now.
bool Queue::leaves_instead_locked(SteadyTime now, WallTime wall_now, SteadyTime& wake_at) const {
    if (wants_to_move_locked(now, wall_now)) {
        wake_at = now;
        return true;
    }
    if (!has_warm_up_left_locked(wall_now)) {
        wake_at = std::min({wake_at, stays_until_, now + (WarmUp::next_day(wall_now) - wall_now)});
        return true;
    }
    return warm_up_.is_waiting(wall_now);  // on_warm_up_kept() goes on
}

bool Queue::has_warm_up_left_locked(WallTime wall_now) const {
    return settings_->warm_up.values.empty() || warm_up_.left(settings_->warm_up.values, wall_now) > 0;
}

std::uint32_t Queue::take_warm_up(std::uint32_t wanted, WallTime now) {
    WarmUp::Grant grant;
    {
        const std::lock_guard lock(mutex_);
        grant = warm_up_.take(settings_->warm_up.values, wanted, now);
    }
    if (!grant.note.empty()) engine_.keep_warm_up(shared_from_this(), std::move(grant.note));
    return grant.recipients;
}

void Queue::on_warm_up_kept(WarmUp::Kept kept, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        warm_up_.on_kept(kept);
    }
    pump(shard, Spread::AllShards);
}

bool Queue::is_warm_up_used_up(WallTime now) const {
    const std::lock_guard lock(mutex_);
    return !has_warm_up_left_locked(now);
}

void Queue::restore_warm_up(std::string_view note) {
    const std::lock_guard lock(mutex_);
    warm_up_.restore(note);
}

void Queue::on_cannot_move(Work&& work, SteadyTime until, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        stays_until_ = until;
    }
    put_back(std::move(work), shard);
}

bool Queue::is_deferred_locked(SteadyTime now, SteadyTime& wake_at) const {
    if (now >= deferred_until_) return false;
    wake_at = std::min(wake_at, deferred_until_);
    return true;
}

}  // namespace postfleet::sender
