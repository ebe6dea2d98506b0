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

bool Queue::is_abandoned(SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    if (!tasks_.is_empty() || connections_ > 0 || paused_ || is_in_backoff()) return false;
    if (!settings_->warm_up.values.empty() && warm_up_.day() > 0) return false;
    // A rate that is still being paid for must not begin anew.
    const shaping::Pace messages{settings_->max_message_rate.interval(), settings_->max_data_rate};
    return messages_.next(messages) <= now && connects_.next({settings_->max_connect_rate.interval(), {}}) <= now;
}

void Queue::abandon() {
    const std::lock_guard lock(mutex_);
    for (auto& idle : idle_) idle.clear();
}

// --- status --------------------------------------------------------------------------------------------

QueueStatus Queue::status(const Executor& clock) const {
    const SteadyTime now = clock.now();
    const std::lock_guard lock(mutex_);
    QueueStatus out;
    out.name = name;
    out.site = site;
    out.virtual_mta = virtual_mta->name;
    const schedule::TaskQueue::Counts counts = tasks_.counts();
    out.ready = counts.ready;
    out.waiting = counts.waiting;
    out.held = counts.held;
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
    out.hold_reason = hold_reason_locked(clock);
    out.warm_up = warm_up_.describe(settings_->warm_up.values, clock.wall_now());
    out.warm_up_day = out.warm_up.empty() ? 0 : warm_up_.day();
    out.next_due = tasks_.next_due();
    out.last_reply = last_failure_;
    return out;
}

std::uint64_t Queue::recipients() const {
    const std::lock_guard lock(mutex_);
    const schedule::TaskQueue::Counts counts = tasks_.counts();
    return counts.ready + counts.waiting + counts.held + counts.in_flight;
}

// Why ready mail does not go now; empty when it does, or when there is none.
std::string Queue::hold_reason_locked(const Executor& clock) const {
    const SteadyTime now = clock.now();
    if (paused_) return pause_reason_.empty() ? "paused" : "paused: " + pause_reason_;
    if (!virtual_mta->is_configured()) return tasks_.is_empty() ? "" : "virtual-mta-missing";
    if (tasks_.counts().ready == 0) return tasks_.counts().held > 0 ? "held by orders" : "";
    if (engine_.is_draining()) return "draining";
    if (engine_.is_latched()) return "spool latched";
    if (engine_.is_past_its_time()) return "not known to own its name any more";
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
        } else if (const WallTime today = clock.wall_now(); !has_warm_up_left_locked(today)) {
            reason = "warm-up limit: " + warm_up_.describe(settings_->warm_up.values, today);
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

MailFacts Queue::facts_locked(schedule::TaskId id) const {
    MailFacts mail;
    mail.site = site;
    mail.virtual_mta = virtual_mta->name;
    mail.tenant = tasks_.tenant_of(id);
    mail.job = tasks_.job_of(id);
    mail.message = tasks_[id].key.message;
    mail.domain = tasks_[id].domain;
    return mail;
}

void Queue::list(const Selection& which, std::size_t limit, Executor& clock, std::vector<Listed>& out) {
    std::uint32_t from = 0;
    do {  // in slices, so that traffic is not held up
        const std::lock_guard lock(mutex_);
        const std::string held = hold_reason_locked(clock);
        from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
            if (out.size() >= limit || !which.covers_waiting(facts_locked(id), engine_.sites)) return;
            std::string state;
            switch (task.state) {
                case schedule::TaskState::InFlight: state = "in flight"; break;
                case schedule::TaskState::Waiting: state = paused_ ? "waiting, and " + held : "waiting"; break;
                case schedule::TaskState::Ready: state = held.empty() ? "ready" : "held: " + held; break;
                case schedule::TaskState::Held: {
                    const auto order = engine_.orders.get(OrderId{tasks_.holder_of(id)});
                    state = order ? "held: paused: " + order->reason : "held";
                    break;
                }
            }
            out.push_back({task.key, std::move(state)});
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

Queue::Slice Queue::look(const Selection& which, std::uint32_t& from) {
    Slice slice;
    const std::lock_guard lock(mutex_);
    from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
        if (!which.covers_waiting(facts_locked(id), engine_.sites)) return;
        if (task.state != schedule::TaskState::InFlight) {
            slice.waiting.push_back({id, task.key, task.recipients});
        } else if (task.is_claimed) {
            slice.has_claimed = true;
        } else {
            slice.in_flight.push_back({id, task.key, task.recipients});
        }
    });
    return slice;
}

bool Queue::is_idle_locked(const Found& found) const {
    return tasks_.is_still(found.id, found.key) && tasks_[found.id].state != schedule::TaskState::InFlight;
}

std::vector<Work> Queue::claim(std::span<const Found> found) {
    std::vector<Work> claimed;
    const std::lock_guard lock(mutex_);
    for (const Found& task : found) {
        if (!is_idle_locked(task)) continue;
        tasks_.claim(task.id);
        tasks_[task.id].is_claimed = true;
        claimed.push_back(make_work_locked(task.id));
    }
    return claimed;
}

Work Queue::arrive_claimed(schedule::NewTask&& task, const std::shared_ptr<Destination>& to, Shard& shard) {
    const std::lock_guard lock(mutex_);
    task.destination = route_of_locked(to, shard);
    const schedule::TaskId id = tasks_.add(std::move(task), shard.executor->wall_now());
    tasks_.claim(id);
    tasks_[id].is_claimed = true;
    earliest_expiry_ = std::min(earliest_expiry_, expiry_locked(id));
    return make_work_locked(id);
}

void Queue::give_back(Work&& work, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        schedule::WaitingTask& task = tasks_[work.id];
        // What was only read for the orders is read again.
        if (work.hot && work.hot->charged &&
            may_keep_content_locked(tasks_.destination_of(work.id), shard.executor->now())) {
            task.attachment = std::move(work.hot);
            keeps_content_ = true;
        }
        tasks_.defer(work.id, task.due, shard.executor->wall_now());
    }
    pump(shard, Spread::Here);
}

void Queue::mark_claimed(schedule::TaskId id) {
    const std::lock_guard lock(mutex_);
    tasks_[id].is_claimed = true;
}

bool Queue::is_in_flight(const Found& found) const {
    const std::lock_guard lock(mutex_);
    return tasks_.is_still(found.id, found.key) && tasks_[found.id].state == schedule::TaskState::InFlight;
}

std::uint64_t Queue::hold(std::span<const Found> found, std::uint32_t order) {
    std::uint64_t recipients = 0;
    const std::lock_guard lock(mutex_);
    for (const Found& task : found) {
        if (!is_idle_locked(task) || tasks_.holder_of(task.id) != 0) continue;
        tasks_.hold(task.id, order);
        recipients += task.recipients;
    }
    return recipients;
}

void Queue::hold(Work&& work, std::uint32_t order) {
    const std::lock_guard lock(mutex_);
    tasks_.hold(work.id, order);
}

void Queue::release(std::uint32_t order, std::uint32_t& from, WallTime now) {
    const std::lock_guard lock(mutex_);
    std::vector<schedule::TaskId> ids;
    from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask&) {
        if (tasks_.holder_of(id) == order) ids.push_back(id);
    });
    for (const schedule::TaskId id : ids) {
        const OrderPointer other = engine_.orders.is_empty() ? nullptr : engine_.orders.find(facts_locked(id));
        if (other && other->is_pause()) {
            tasks_.hold(id, other->number());
        } else {
            tasks_.release(id, now);
        }
    }
}

void Queue::wake(std::span<const Found> found, WallTime now) {
    const std::lock_guard lock(mutex_);
    for (const Found& task : found) {
        if (is_idle_locked(task) && tasks_[task.id].state == schedule::TaskState::Waiting) tasks_.wake(task.id, now);
    }
}

void Queue::end_rests(Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        for (Route& route : routes_) route.retry_at = SteadyTime::min();  // the operator knows better
        deferred_until_ = SteadyTime::min();
        no_source_until_ = SteadyTime::min();
    }
    engine_.logins.end_rests();
    pump(shard, Spread::AllShards);
}

}  // namespace postfleet::sender
