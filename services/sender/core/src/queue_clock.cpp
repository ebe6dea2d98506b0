// The wall clock was set back, or was wrong before: deferred mail must not wait for a time that is hours away.

#include <algorithm>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "queue.hpp"

namespace postfleet::sender {

namespace {
constexpr Duration kTolerance = std::chrono::minutes(1);  // what a clock may be slewed between two looks
}

// True once for each time that the wall clock falls behind the steady one.
bool Queue::was_set_back_locked(WallTime wall_now, SteadyTime now) {
    const Duration ahead = wall_now.time_since_epoch() - now.time_since_epoch();
    const std::optional<Duration> before = std::exchange(wall_ahead_, ahead);
    return before && ahead < *before - kTolerance;
}

// Not longer than its retry list, or a reply rule, has it wait. What was never tried waits for a time that was asked for.
WallTime Queue::bound_due_locked(const Deferred& task, WallTime now) const {
    if (task.attempts == 0) return task.due;
    SettingsPointer mail = settings_;
    if (engine_.mail_keys_differ()) {
        mail = engine_.mail_settings(*this, engine_.sites.name_of(task.domain), std::string(task.tenant));
    }
    const auto& waits = mail->retry_after;
    const auto end = waits.begin() + std::min<std::ptrdiff_t>(task.attempts, std::ssize(waits));
    const Duration longest = std::max(*std::max_element(waits.begin(), end), engine_.longest_prescribed_wait());
    return std::min(task.due, now + std::chrono::ceil<WallTime::duration>(longest));
}

void Queue::bound_waits(WallTime now) {
    std::uint32_t from = 0;
    do {
        const std::lock_guard lock(mutex_);
        if (mode_.mode == QueueMode::Backoff && !usual_settings_->backoff_leave_after.is_never()) {
            const auto stay = std::chrono::ceil<WallTime::duration>(usual_settings_->backoff_leave_after.value);
            mode_.until = std::min(mode_.until, now + stay);
        }
        std::vector<std::pair<schedule::TaskId, WallTime>> sooner;
        from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
            if (task.state != schedule::TaskState::Waiting) return;
            const WallTime due = bound_due_locked({task.due, task.attempts, task.domain, tasks_.tenant_of(id)}, now);
            if (due < task.due) sooner.emplace_back(id, due);
        });
        for (const auto& [id, due] : sooner) {
            tasks_.claim(id);
            tasks_.defer(id, due, now);
        }
    } while (from != 0);
}

}  // namespace postfleet::sender
