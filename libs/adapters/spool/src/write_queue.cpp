#include "write_queue.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace postfleet::spool {

void WriteQueue::push(WriteItem item) {
    in_flight_.fetch_add(item.octets, std::memory_order_relaxed);
    bool wake = false;
    {
        std::lock_guard lock(mutex_);
        has_urgent_ = has_urgent_ || item.is_urgent;
        wake = sleep_ == Sleep::UntilAnything || (sleep_ == Sleep::UntilUrgent && item.is_urgent);
        if (wake) sleep_ = Sleep::Awake;
        items_.push_back(std::move(item));
    }
    if (wake) wake_.notify_one();
}

void WriteQueue::take(std::vector<WriteItem>& to, SteadyTime until) {
    std::unique_lock lock(mutex_);
    if (items_.empty() && !is_stopped()) {
        sleep_ = Sleep::UntilAnything;
        wake_.wait_until(lock, until, [&] { return !items_.empty() || is_stopped(); });
    }
    if (!items_.empty() && !has_urgent_ && !is_stopped()) {
        sleep_ = Sleep::UntilUrgent;
        wake_.wait_for(lock, outcome_delay_, [&] { return has_urgent_ || is_stopped(); });
    }
    take_locked(to);
}

void WriteQueue::take_now(std::vector<WriteItem>& to) {
    std::lock_guard lock(mutex_);
    take_locked(to);
}

void WriteQueue::take_locked(std::vector<WriteItem>& to) {
    sleep_ = Sleep::Awake;
    has_urgent_ = false;
    if (to.empty()) {
        to.swap(items_);
    } else {
        std::ranges::move(items_, std::back_inserter(to));
        items_.clear();
    }
}

void WriteQueue::stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    wake_.notify_all();
}

}  // namespace postfleet::spool
