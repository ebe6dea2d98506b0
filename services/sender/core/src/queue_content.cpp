// Which waiting mail keeps its content in memory.
//
// Memory for content serves mail that goes soon. If the mail of a dead host, a paused queue or a long line kept it all,
// everybody else's would have to be read from the spool again.

#include <memory>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "queue.hpp"

namespace postfleet::sender {

bool Queue::is_held_locked(const Route& route, SteadyTime now) const {
    return paused_ || now < deferred_until_ || (route.failures > 0 && route.open == 0);
}

// The first half of the memory is for whoever comes, the second for queues with a short line.
bool Queue::may_keep_content_locked(std::uint32_t number, SteadyTime now) const {
    if (is_held_locked(routes_[number], now)) return false;
    return tasks_.ready_tasks(number) < kGoesSoon || !engine_.hot_budget->is_half_used();
}

void Queue::forget_content(SteadyTime now) {
    std::uint32_t from = 0;
    do {
        std::vector<std::unique_ptr<schedule::Attachment>> forgotten;  // freed without the lock
        const std::lock_guard lock(mutex_);
        if (from == 0 && !std::exchange(keeps_content_, false)) return;
        from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
            if (!task.attachment) return;
            if (is_held_locked(routes_[tasks_.destination_of(id)], now)) {
                forgotten.push_back(std::move(task.attachment));
            } else {
                keeps_content_ = true;
            }
        });
    } while (from != 0);
}

// Only what is in memory: a transaction that is about to begin does not wait for the disk.
Work Queue::take_companion(const Work& work, WallTime now) {
    const std::lock_guard lock(mutex_);
    if (work.settings != settings_ || paused_) return {};
    const auto id = tasks_.take_companion(work.id);
    if (!id) return {};
    if (!tasks_[*id].attachment || expiry_locked(*id) <= now) {
        tasks_.put_back(*id);
        return {};
    }
    return make_work_locked(*id);
}

}  // namespace postfleet::sender
