// What operators see of a queue and tell it.

#include <algorithm>
#include <utility>

#include "delivery_session.hpp"
#include "engine.hpp"
#include "queue.hpp"

namespace postfleet::sender {

void Queue::configure(SettingsPointer settings) {
    const std::lock_guard lock(mutex_);
    usual_settings_ = std::move(settings);
    apply_mode_locked();
    no_source_until_ = SteadyTime::min();  // what held it may have been mended
    // expire_after may have become shorter: look at every task once.
    if (!tasks_.is_empty()) earliest_expiry_ = WallTime::min();
}

SettingsPointer Queue::settings() const {
    const std::lock_guard lock(mutex_);
    return settings_;
}

void Queue::set_paused(bool paused, std::string reason) {
    {
        const std::lock_guard lock(mutex_);
        paused_ = paused;
        pause_reason_ = std::move(reason);
    }
    if (paused) forget_content(SteadyTime::max());
}

bool Queue::is_abandoned() const {
    const std::lock_guard lock(mutex_);
    return tasks_.is_empty() && connections_ == 0 && !paused_ && !is_in_backoff();
}

void Queue::abandon() {
    const std::lock_guard lock(mutex_);
    for (auto& idle : idle_) idle.clear();
}

// --- status --------------------------------------------------------------------------------------------

QueueStatus Queue::status(SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    QueueStatus out;
    out.name = name;
    out.site = site;
    out.virtual_mta = virtual_mta->name;
    const schedule::TaskQueue::Counts counts = tasks_.counts();
    out.ready = counts.ready;
    out.waiting = counts.waiting;
    out.in_flight = counts.in_flight;
    out.connections = connections_;
    out.delivered = delivered_;
    out.deferred = deferred_;
    out.bounced = bounced_;
    out.expired = expired_;
    out.delivered_per_second = delivered_rate_.per_second(now);
    out.paused = paused_;
    if (mode_.mode == QueueMode::Backoff) {
        out.backoff_since = mode_.since;
        if (mode_.until != schedule::kNever) out.backoff_until = mode_.until;
        out.backoff_reason = mode_.reason;
    }
    out.hold_reason = hold_reason_locked(now);
    out.next_due = tasks_.next_due();
    out.last_reply = last_failure_;
    return out;
}

// Why ready mail does not go now; empty when it does, or when there is none.
std::string Queue::hold_reason_locked(SteadyTime now) const {
    if (paused_) return pause_reason_.empty() ? "paused" : "paused: " + pause_reason_;
    if (!virtual_mta->is_configured()) return tasks_.is_empty() ? "" : "virtual-mta-missing";
    if (tasks_.counts().ready == 0) return {};
    if (engine_.is_draining()) return "draining";
    if (engine_.is_latched()) return "spool latched";
    if (!engine_.may_transact()) return "too many outcomes are not recorded yet";
    if (now < deferred_until_) return "deferred: " + deferred_reason_;
    std::string reason;
    for (std::uint32_t i = 0; i < routes_.size(); ++i) {
        const Route& route = routes_[i];
        if (!tasks_.has_ready(i)) continue;
        if (!route.to) {
            reason = "dns pending";
        } else if (route.to->kind == Destination::Kind::Failed) {
            reason = "dns failed: " + route.to->text;
        } else if (route.failures > 0 && route.open == 0) {
            reason = "connecting failed: " + last_failure_;
        } else {
            reason = why_no_connection_locked(route, now);
            if (reason.empty()) return {};  // sessions are at it
        }
    }
    return reason;
}

std::string Queue::why_no_connection_locked(const Route& route, SteadyTime now) const {
    if (now < no_source_until_) return no_source_reason_;
    if (is_paced_ && (turn_ != nullptr || now < next_message_permit_locked())) {
        for (const LimitUse& use : wider_) {
            if (use.allows.is_paced() && now < use.limit->messages.next(use.pace())) {
                return "rate limited: " + use.limit->describe();
            }
        }
        return "rate limited";
    }
    for (const LimitUse& use : wider_) {
        if (use.limit->is_waiting(*this)) return "connection limit of " + use.limit->describe();
    }
    if (connections_ >= settings_->max_connections) return "connection limit";
    if (now < route.room_at) return route.no_room_reason;
    return connections_ == 0 ? "connect rate limited" : "";
}

void Queue::list(const TaskTest& test, std::size_t limit, Executor& clock, std::vector<Listed>& out) {
    std::uint32_t from = 0;
    do {  // in slices, so that traffic is not held up
        const std::lock_guard lock(mutex_);
        const std::string held = hold_reason_locked(clock.now());
        from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
            if (out.size() >= limit || !test(task, tasks_.tenant_of(id), tasks_.job_of(id))) return;
            const char* state = task.state == schedule::TaskState::InFlight  ? "in flight"
                                : task.state == schedule::TaskState::Waiting ? "waiting"
                                                                             : "ready";
            const bool holds = task.state == schedule::TaskState::Ready && !held.empty();
            out.push_back({task.key, holds ? "held: " + held : std::string(state)});
        });
    } while (from != 0 && out.size() < limit);
}

std::optional<WallTime> Queue::oldest() {
    std::optional<WallTime> oldest;
    std::uint32_t from = 0;
    do {
        const std::lock_guard lock(mutex_);
        from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId, schedule::WaitingTask& task) {
            if (!oldest || task.accepted_at < *oldest) oldest = task.accepted_at;
        });
    } while (from != 0);
    return oldest;
}

// --- orders --------------------------------------------------------------------------------------------

std::uint64_t Queue::retry(const TaskTest& test, Shard& shard) {
    const WallTime now = shard.executor->wall_now();
    std::uint64_t recipients = 0;
    std::uint32_t from = 0;
    do {
        const std::lock_guard lock(mutex_);
        std::vector<schedule::TaskId> ids;
        from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
            if (task.state == schedule::TaskState::InFlight) return;
            if (!test(task, tasks_.tenant_of(id), tasks_.job_of(id))) return;
            recipients += task.recipients;
            if (task.state == schedule::TaskState::Waiting) ids.push_back(id);
        });
        for (const schedule::TaskId id : ids) tasks_.wake(id, now);
    } while (from != 0);
    if (recipients == 0) return 0;
    {
        const std::lock_guard lock(mutex_);
        for (Route& route : routes_) route.retry_at = SteadyTime::min();  // the operator knows better
        deferred_until_ = SteadyTime::min();
        no_source_until_ = SteadyTime::min();
    }
    engine_.logins.end_rests();
    pump(shard, Spread::AllShards);
    return recipients;
}

std::vector<Work> Queue::claim(const TaskTest& test, std::uint32_t& from, std::uint64_t& in_flight_recipients) {
    std::vector<Work> claimed;
    const std::lock_guard lock(mutex_);
    std::vector<schedule::TaskId> ids;
    from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
        if (!test(task, tasks_.tenant_of(id), tasks_.job_of(id))) return;
        if (task.state != schedule::TaskState::InFlight) {
            ids.push_back(id);
        } else if (!std::exchange(task.is_cancelled, true)) {
            in_flight_recipients += task.recipients;
        }
    });
    for (const schedule::TaskId id : ids) {
        tasks_.claim(id);
        claimed.push_back(make_work_locked(id));
    }
    return claimed;
}

bool Queue::is_cancelled(schedule::TaskId id) const {
    const std::lock_guard lock(mutex_);
    return tasks_[id].is_cancelled;
}

}  // namespace postfleet::sender
