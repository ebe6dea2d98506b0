// Who makes room for mail that waits for a connection.
//
// Where a limit of connections is used up, of the queue or one that it shares, mail whose destination has none of them
// starves. It gets one at once: an idle session quits, or one that has just finished and can be spared; in other queues,
// too, where the limit is shared (Engine::make_room). Mail that only wants more connections than it has gets those that
// were idle for kUnused. As many quit as are wanted, less those that are closing already.

#include <algorithm>
#include <optional>
#include <utility>

#include "delivery_session.hpp"
#include "engine.hpp"
#include "queue.hpp"

namespace postfleet::sender {

namespace {
constexpr std::uint32_t kTurnTransactions = 100;  // before a session makes room for another destination
}

// --- idle sessions -------------------------------------------------------------------------------------

void Queue::push_idle_locked(std::shared_ptr<DeliverySession> session, SteadyTime now) {
    count_idle_locked(*session, +1);
    idle_[session->shard_number()].push_back({std::move(session), now});
}

std::shared_ptr<DeliverySession> Queue::take_idle_locked(std::size_t shard, std::size_t place) {
    auto session = std::move(idle_[shard][place].session);
    idle_[shard].erase(idle_[shard].begin() + static_cast<std::ptrdiff_t>(place));
    count_idle_locked(*session, -1);
    return session;
}

void Queue::count_idle_locked(const DeliverySession& session, std::int32_t change) {
    idle_sessions_ += static_cast<std::uint32_t>(change);
    for (const LimitUse& use : wider_) {
        if (use.counts_idle) use.limit->count_idle(change);
    }
    for (const LimitUse& use : session.address_limits()) {
        if (use.limits_connections()) use.limit->count_idle(change);
    }
}

bool Queue::leave_idle(const DeliverySession& session, Shard& shard) {
    const std::lock_guard lock(mutex_);
    const auto& idle = idle_[shard.number];
    const auto found =
        std::find_if(idle.begin(), idle.end(), [&](const Idle& i) { return i.session.get() == &session; });
    if (found == idle.end()) return false;
    take_idle_locked(shard.number, static_cast<std::size_t>(found - idle.begin()));
    return true;
}

void Queue::mark_leaving_locked(DeliverySession& session) {
    if (!session.mark_leaving()) return;
    ++leaving_;
    for (const LimitUse& use : wider_) use.limit->count_leaving(+1);
    for (const LimitUse& use : session.address_limits()) use.limit->count_leaving(+1);
}

void Queue::on_leaving(DeliverySession& session) {
    const std::lock_guard lock(mutex_);
    mark_leaving_locked(session);
}

bool Queue::counts_in(const SharedLimit& limit) const {
    return std::any_of(wider_.begin(), wider_.end(), [&](const LimitUse& use) { return use.limit.get() == &limit; });
}

// --- who lacks room ------------------------------------------------------------------------------------

bool Queue::is_full_locked() const {
    return connections_ >= settings_->max_connections ||
           std::any_of(wider_.begin(), wider_.end(), [](const LimitUse& use) { return !use.has_room(); });
}

// Its mail waits for nothing but its first connection.
bool Queue::starves_locked(std::uint32_t number, SteadyTime now, SteadyTime& wake_at) const {
    const Route& route = routes_[number];
    return route.to && route.to->kind == Destination::Kind::Deliverable && route.open == 0 && route.connecting == 0 &&
           !has_something_to_wait_for_locked(route, now, wake_at);
}

// More destinations starve than connections are coming.
bool Queue::lacks_room_locked(std::uint32_t coming, SteadyTime now, SteadyTime& wake_at) {
    const auto ready = tasks_.ready_destinations();
    const bool are_few = ready.size() <= kFewRoutes;
    if (!are_few && now < look_again_at_) {
        wake_at = std::min(wake_at, look_again_at_);
        return false;
    }
    std::uint32_t starving = 0;
    for (std::size_t i = 0; i < ready.size(); ++i) {
        const std::size_t place = (look_from_ + i) % ready.size();
        if (!starves_locked(ready[place], now, wake_at)) continue;
        if (++starving <= coming) continue;
        look_from_ = place;
        return true;
    }
    if (!are_few) look_again_at_ = now + ready.size() * kRestPerRoute;
    return false;
}

// The last connections are for destinations that have none, if there are such.
bool Queue::leaves_room_locked(const Route& route, SteadyTime now) {
    const std::uint32_t left = settings_->max_connections - std::min(settings_->max_connections, connections_);
    if (left == 0 || left > kFewRoutes || route.open + route.connecting == 0 || routes_.size() < 2) return false;
    SteadyTime wake_at = SteadyTime::max();
    return lacks_room_locked(left - 1 + leaving_, now, wake_at);
}

// Its destination has others, or no mail, or had its turn.
bool Queue::can_be_spared_locked(const DeliverySession& session) const {
    const std::uint32_t mine = session.route();
    return routes_[mine].open > 1 || !tasks_.has_ready(mine) || session.transactions() >= kTurnTransactions;
}

// A session that has finished goes, for another destination.
bool Queue::must_make_room_locked(const DeliverySession& session, SteadyTime now, SteadyTime& wake_at) {
    return routes_.size() > 1 && is_full_locked() && can_be_spared_locked(session) &&
           lacks_room_locked(leaving_, now, wake_at);
}

// Somebody who shares a limit with this queue has no connection at all, and this session can be spared: it has nothing
// to do, or had its turn, or is one of several of a queue of no higher priority.
bool Queue::must_yield_locked(const DeliverySession& session, bool is_idle) const {
    const bool had_its_turn = session.transactions() >= kTurnTransactions;
    const Priority least = is_idle || had_its_turn ? Priority::Low : settings_->priority;
    const auto is_wanted = [least](const LimitUse& use) { return !use.has_room() && use.limit->lacks_room(least); };
    if (is_idle || had_its_turn || connections_ > 1) {
        if (std::any_of(wider_.begin(), wider_.end(), is_wanted)) return true;
    }
    const auto& addresses = session.address_limits();
    return (is_idle || had_its_turn) && std::any_of(addresses.begin(), addresses.end(), is_wanted);
}

// Some destination has been refused a further connection since then, and asks again and again.
SteadyTime Queue::more_wanted_since_locked(SteadyTime now) {
    if (now > more_wanted_at_ + 2 * SharedLimit::kUnused) more_wanted_since_ = now;
    more_wanted_at_ = now;
    return more_wanted_since_;
}

// There is nothing else to do: an idle session goes if it is in the way.
void Queue::make_room_locked(SteadyTime now, Action& action, SteadyTime& wake_at) {
    if (action.kind != Action::Kind::None || !action.expired.empty() || !is_full_locked()) return;
    const bool is_too_many = connections_ - leaving_ > settings_->max_connections;
    const bool is_urgent = is_too_many || (idle_sessions_ > 0 && lacks_room_locked(leaving_, now, wake_at));
    SteadyTime unused_since = SteadyTime::max();
    if (!is_urgent) {
        if (!action.cannot_open || leaving_ > 0) return;
        if (idle_sessions_ > 0 || connections_ < settings_->max_connections) {
            wake_at = std::min(wake_at, now + SharedLimit::kUnused);
        }
        if (more_wanted_since_locked(now) + SharedLimit::kUnused > now) return;
        unused_since = now - SharedLimit::kUnused;
    }
    std::optional<std::pair<std::size_t, std::size_t>> longest;
    for (std::size_t shard = 0; shard < idle_.size(); ++shard) {
        for (std::size_t place = 0; place < idle_[shard].size(); ++place) {
            const auto& [session, since] = idle_[shard][place];
            if (since > unused_since || (longest && since >= idle_[longest->first][longest->second].since)) continue;
            const bool may_go =
                is_urgent ? is_too_many || can_be_spared_locked(*session) : !tasks_.has_ready(session->route());
            if (may_go) longest = {shard, place};
        }
    }
    if (!longest) return;
    action.kind = Action::Kind::Leave;
    action.session = take_idle_locked(longest->first, longest->second);
    mark_leaving_locked(*action.session);
}

}  // namespace postfleet::sender
