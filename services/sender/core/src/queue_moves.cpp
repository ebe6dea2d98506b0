// Mail whose domain has another destination now: it changes its route, or leaves for another queue.
//
// A domain's tasks are found by a look at all of them. Where many domains move (the TTLs of a provider's domains end, or
// a reload says that they belong elsewhere), one look serves all that have been asked for: looks are kRestPerTask for each
// task apart, so they take about a hundredth of a shard, and a million tasks move up to a second late.

#include <utility>

#include "engine.hpp"
#include "queue.hpp"

namespace postfleet::sender {

void Queue::move_domain(std::uint32_t domain, const std::shared_ptr<Destination>& to, Shard& shard) {
    SteadyTime later{};
    {
        const std::lock_guard lock(mutex_);
        moves_[domain] = to;
        if (std::exchange(is_moving_, true)) return;  // with the look that is due, or after the one under way
        if (shard.executor->now() < moves_again_at_) later = moves_again_at_;
    }
    if (later == SteadyTime{}) return make_moves(shard);
    make_moves_at(later);
}

void Queue::make_moves_at(SteadyTime when) {
    engine_.on_shard(home, [weak = weak_from_this(), when](Shard& on) {
        on.executor->schedule_at(when, [weak, &on] {
            if (auto self = weak.lock()) self->make_moves(on);
        });
    });
}

void Queue::make_moves(Shard& shard) {
    auto moves = std::make_shared<Moves>();
    {
        const std::lock_guard lock(mutex_);
        moves->swap(moves_);
    }
    go_on_moving(std::move(moves), 0, shard);
}

// A million tasks that move take a second; others have their turn between two parts of that.
void Queue::go_on_moving(std::shared_ptr<const Moves> moves, std::uint32_t from, Shard& shard) {
    constexpr int kSlicesAtOnce = 8;
    for (int slices = 0; slices < kSlicesAtOnce; ++slices) {
        for (Leaving& task : move_slice(*moves, from, shard)) engine_.move_to(std::move(task), *this, shard);
        if (from == 0) return finish_moves(shard);
    }
    shard.executor->post([self = shared_from_this(), moves = std::move(moves), from, &shard]() mutable {
        self->go_on_moving(std::move(moves), from, shard);
    });
}

void Queue::finish_moves(Shard& shard) {
    bool is_more = false;
    SteadyTime again_at;
    {
        const std::lock_guard lock(mutex_);
        again_at = moves_again_at_ = shard.executor->now() + tasks_.counts().tasks * kRestPerTask;
        is_more = is_moving_ = !moves_.empty();
    }
    if (is_more) make_moves_at(again_at);
    pump(shard, Spread::AllShards);
}

// Those of one slice that leave this queue; what is in flight stays, and is asked for its destination when it comes back.
std::vector<Queue::Leaving> Queue::move_slice(const Moves& moves, std::uint32_t& from, const Shard& shard) {
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<schedule::TaskId, const std::shared_ptr<Destination>*>> found;
    from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
        if (const auto move = moves.find(task.domain); move != moves.end()) found.emplace_back(id, &move->second);
    });
    std::vector<Leaving> leaving;
    for (const auto& [id, to] : found) {
        if ((*to)->site == site) {
            tasks_.set_destination(id, route_of_locked(*to, shard));
        } else if (tasks_[id].state != schedule::TaskState::InFlight) {
            leaving.push_back(extract_locked(id, *to));
        }
    }
    return leaving;
}

Queue::Leaving Queue::extract_locked(schedule::TaskId id, const std::shared_ptr<Destination>& to) {
    Leaving out;
    out.to = to;
    out.tenant.assign(tasks_.tenant_of(id));
    out.job.assign(tasks_.job_of(id));
    schedule::WaitingTask& task = tasks_[id];
    out.task.key = task.key;
    out.task.due = task.due;
    out.task.accepted_at = task.accepted_at;
    out.task.deadline = task.deadline;
    out.task.domain = task.domain;
    out.task.recipients = task.recipients;
    out.task.attempts = task.attempts;
    out.task.priority = tasks_.priority_of(id);
    out.task.shares_message = task.shares_message;
    out.task.attachment = std::move(task.attachment);
    tasks_.claim(id);
    tasks_.finish(id);
    return out;
}

}  // namespace postfleet::sender
