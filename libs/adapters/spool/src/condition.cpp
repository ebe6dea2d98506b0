#include "condition.hpp"

#include <utility>

namespace postfleet::spool {

SpoolState Condition::state() const {
    std::lock_guard lock(mutex_);
    return {condition_.load(), reason_};
}

void Condition::change(SpoolCondition condition, std::string reason) {
    std::lock_guard lock(mutex_);
    change_locked(condition, std::move(reason));
}

bool Condition::change(SpoolCondition from, SpoolCondition to, std::string reason) {
    std::lock_guard lock(mutex_);
    if (!is(from)) return false;
    change_locked(to, std::move(reason));
    return true;
}

void Condition::change_locked(SpoolCondition condition, std::string reason) {
    auto before = condition_.exchange(condition);
    reason_ = condition == SpoolCondition::Ready ? "" : std::move(reason);
    if (before == condition) return;
    for (auto& watcher : watchers_) {
        watcher.on->post([changed = watcher.changed, state = SpoolState{condition, reason_}] { (*changed)(state); });
    }
}

void Condition::watch(Executor& on, UniqueFunction<void(SpoolState)> changed) {
    std::lock_guard lock(mutex_);
    watchers_.push_back({&on, std::make_shared<UniqueFunction<void(SpoolState)>>(std::move(changed))});
}

Status Condition::admit(SpoolBatch::Urgency urgency) const {
    switch (condition_.load(std::memory_order_acquire)) {
        case SpoolCondition::Ready: return {};
        case SpoolCondition::Latched: return Error{ErrorKind::Unavailable, "spool latched: " + state().reason};
        case SpoolCondition::SpaceLow:
            if (urgency == SpoolBatch::Urgency::Outcome) return {};
            return Error{ErrorKind::ResourceExhausted, "spool: " + state().reason};
    }
    return {};
}

}  // namespace postfleet::spool
