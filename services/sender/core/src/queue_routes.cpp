// Where a queue looks for the next thing to do.
//
// The queue of a provider may have ten thousand routes, because each of its domains has hosts of its own. So nothing that
// happens for every message looks at all of them: mail that arrives is tried on its own route, and when no connection
// can be opened, only idle sessions are tried, and routes whose mail needs none. With few routes all are looked at. Which
// idle session must make room is found by looks that are a microsecond for each route apart (queue_room.cpp).

#include "delivery_session.hpp"
#include "engine.hpp"
#include "queue.hpp"

namespace postfleet::sender {

std::uint32_t Queue::route_of_locked(const std::shared_ptr<Destination>& to, const Shard& shard) {
    if (const auto known = route_numbers_.find(to.get()); known != route_numbers_.end()) return known->second;
    if (free_routes_.empty() && routes_.size() >= forget_routes_at_) forget_routes_locked(shard.executor->now());
    if (free_routes_.empty()) {
        free_routes_.push_back(static_cast<std::uint32_t>(routes_.size()));
        routes_.emplace_back();
    }
    const std::uint32_t number = free_routes_.back();
    free_routes_.pop_back();
    route_numbers_.emplace(to.get(), number);
    routes_[number].to = to;
    if (to && to->kind != Destination::Kind::Deliverable) unconnected_routes_.push_back(number);
    return number;
}

// Those without tasks and sessions, and with nothing to remember. Their numbers are used again.
void Queue::forget_routes_locked(SteadyTime now) {
    const std::vector<bool> in_use = tasks_.destinations_in_use();
    std::erase_if(route_numbers_, [&](const auto& known) {
        Route& route = routes_[known.second];
        const bool is_used = known.second < in_use.size() && in_use[known.second];
        if (is_used || route.open > 0 || route.connecting > 0 || now < std::max(route.retry_at, route.room_at)) {
            return false;
        }
        route = {};
        free_routes_.push_back(known.second);
        return true;
    });
    std::erase_if(unconnected_routes_, [&](std::uint32_t number) { return routes_[number].to == nullptr; });
    forget_routes_at_ = std::max(kFewestRoutes, 2 * route_numbers_.size());
}

template <class Try>
void Queue::try_routes_locked(const Action& action, Try&& is_action) {
    const bool are_few = tasks_.ready_destinations().size() <= kFewRoutes;
    if (are_few || connections_ < settings_->max_connections || !settings_->forced_reply.empty()) {
        bool is_over = false;
        tasks_.visit_ready_destinations([&](std::uint32_t number) {
            is_over = is_action(number);
            return !is_over && (are_few || !action.cannot_open);
        });
        if (is_over || are_few || !action.cannot_open) return;
    }
    for (const auto& idle : idle_) {
        for (const auto& [session, since] : idle) {
            if (tasks_.has_ready(session->route()) && is_action(session->route())) return;
        }
    }
    for (const std::uint32_t number : unconnected_routes_) {
        if (tasks_.has_ready(number) && is_action(number)) return;
    }
}

Queue::Action Queue::next_action_locked(Shard& shard, Spread spread, std::optional<std::uint32_t> arrived) {
    Action action;
    SteadyTime wake_at = SteadyTime::max();
    if (may_deliver_locked() && !is_deferred_locked(shard.executor->now(), wake_at)) {
        const auto is_action = [&](std::uint32_t number) {
            return try_route_locked(number, shard, spread, action, wake_at);
        };
        if (arrived && tasks_.ready_destinations().size() > kFewRoutes) {
            if (tasks_.has_ready(*arrived)) is_action(*arrived);
        } else {
            try_routes_locked(action, is_action);
        }
        make_room_locked(shard.executor->now(), action, wake_at);
    }
    wake_at = next_wake_locked(shard, wake_at);
    if (wake_at < armed_for_) {
        armed_for_ = wake_at;
        action.arm = true;
    }
    return action;
}

}  // namespace postfleet::sender
