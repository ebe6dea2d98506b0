// The side of the queue that its sessions see: work, idleness, connection permits, the message rate.

#include <algorithm>
#include <utility>

#include "delivery_session.hpp"
#include "engine.hpp"
#include "postfleet/base/require.hpp"
#include "queue.hpp"

namespace postfleet::sender {

Queue::Next Queue::next_for(const std::shared_ptr<DeliverySession>& session, Shard& shard) {
    Next next;
    std::vector<Work> expired;
    bool arm = false;
    {
        const std::lock_guard lock(mutex_);
        const std::uint32_t route = session->route();
        SteadyTime wake_at = SteadyTime::max(), look_at = SteadyTime::max();
        const SteadyTime now = shard.executor->now();
        if (engine_.is_draining() || connections_ - leaving_ > settings_->max_connections ||
            must_make_room_locked(*session, now, look_at) || must_yield_locked(*session, false)) {
            next.kind = Next::Kind::Quit;
            mark_leaving_locked(*session);
            return next;
        }
        if (may_deliver_locked() && !is_deferred_locked(now, wake_at) && tasks_.has_ready(route) &&
            may_give_locked(now, wake_at) && session->may_be_given(now, wake_at) &&
            !leaves_instead_locked(now, shard.executor->wall_now(), wake_at)) {
            next.work = take_locked(route, shard.executor->wall_now(), expired);
            if (next.work) {
                next.kind = Next::Kind::Work;
                mark_paced_locked(next.work, session);
            }
        }
        if (next.kind == Next::Kind::Idle) {
            push_idle_locked(session, now);
            if (must_yield_locked(*session, true)) {
                take_idle_locked(shard.number, idle_[shard.number].size() - 1);
                mark_leaving_locked(*session);
                next.kind = Next::Kind::Quit;
            }
            wake_at = std::min(wake_at, look_at);
        }
        if (wake_at < armed_for_) {
            armed_for_ = wake_at;
            arm = true;
        }
    }
    if (arm || !expired.empty()) {
        Action rest;
        rest.arm = arm;
        rest.expired = std::move(expired);
        perform(std::move(rest), shard);
    }
    return next;
}

// The one that was used last, here if possible: its caches and its connection are warm, and the ones that are
// not needed grow cold and close.
std::shared_ptr<DeliverySession> Queue::pop_idle_locked(std::uint32_t route, unsigned shard, SteadyTime now,
                                                        SteadyTime& wake_at) {
    for (std::size_t i = 0; i < idle_.size(); ++i) {
        auto& idle = idle_[(shard + i) % idle_.size()];
        for (std::size_t at = idle.size(); at-- > 0;) {
            const DeliverySession& session = *idle[at].session;
            if (session.route() != route || !session.may_be_given(now, wake_at)) continue;
            return take_idle_locked((shard + i) % idle_.size(), at);
        }
    }
    return nullptr;
}

// --- connections ---------------------------------------------------------------------------------------

bool Queue::may_open_locked(std::uint32_t number, SteadyTime now, Action& action, SteadyTime& wake_at) {
    Route& route = routes_[number];
    const std::uint64_t wanted = is_paced_ ? 1 : tasks_.ready_tasks(number);
    if (route.connecting >= wanted) return false;
    if (route.failures > 0 && route.connecting > 0) return false;  // the probe is on its way
    if (is_paced_ && turn_ != nullptr) return false;
    if (has_something_to_wait_for_locked(route, now, wake_at) || leaves_room_locked(route, now)) return false;
    action.cannot_open = connections_ >= settings_->max_connections || !take_shared_connections_locked(now);
    if (action.cannot_open) return false;
    Paces paces;
    paces.add(connects_, {settings_->max_connect_rate.interval(), {}}, false);
    for (const LimitUse& use : wider_) paces.add(use.limit->connects, use.connect_pace(), true);
    std::optional<SteadyTime> wait;
    {
        const auto rates = lock_rates(paces);
        wait = shaping::take_all(paces.all(), {this, settings_->priority}, 0, now);
    }
    if (wait) {
        wake_at = std::min(wake_at, *wait);
        give_back_shared_connections_locked(wider_.size());
        action.cannot_open = true;
        return false;
    }
    ++connections_;
    ++route.connecting;
    engine_.metrics.connections.add(1);
    return true;
}

// A time before which a connection would be of no use.
bool Queue::has_something_to_wait_for_locked(const Route& route, SteadyTime now, SteadyTime& wake_at) const {
    SteadyTime until = std::max(no_source_until_, route.room_at);
    if (route.failures > 0) until = std::max(until, route.retry_at);
    if (is_paced_) until = std::max({until, permit_at_, next_message_permit_locked()});
    if (now >= until) return false;
    wake_at = std::min(wake_at, until);
    return true;
}

// One of each, or none; then the queue is woken when there is one again.
// wider_ goes from narrow to wide, in the same order for all queues. Who was woken by one of them passes the lines of the
// narrower ones, and stands in those of the wider ones: were all lines respected, two queues, each first where the other
// is not, would hand their turns to and fro for ever; were none, the narrower limit's queues would always be before the
// wider one's.
bool Queue::take_shared_connections_locked(SteadyTime now) {
    std::size_t passes = 0, taken = 0;
    while (passes < wider_.size() && wider_[passes].limit.get() != woken_by_) ++passes;
    passes = passes < wider_.size() ? passes + 1 : 0;
    for (const bool is_in_line : {false, true}) {
        taken = 0;
        while (taken < wider_.size() && take_shared_connection_locked(wider_[taken], taken < passes)) ++taken;
        if (taken == wider_.size()) {
            if (is_in_line) {
                for (const LimitUse& use : wider_) use.limit->leave(*this);
            }
            return true;
        }
        give_back_shared_connections_locked(taken);
        // One may come back before we stand in line; then nobody would wake us, so we look once more.
        wider_[taken].limit->wait(shared_from_this(),
                                  connections_ == 0 ? SharedLimit::Need::Starved : SharedLimit::Need::More,
                                  settings_->priority);
    }
    engine_.make_room(wider_[taken].limit, now);
    return false;
}

bool Queue::take_shared_connection_locked(const LimitUse& use, bool passes_line) {
    if (use.limits_connections() && !passes_line && !use.limit->is_before_others(*this)) return false;
    if (!use.limit->try_take_connection(use.allows.max_connections)) return false;
    if (use.limit.get() == woken_by_) woken_by_ = nullptr;  // one, not all
    return true;
}

void Queue::give_back_shared_connections_locked(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        wider_[i].limit->give_back_connection();
        if (wider_[i].limits_connections()) engine_.wake_next(wider_[i].limit);
    }
}

void Queue::on_opened(std::uint32_t number) {
    const std::lock_guard lock(mutex_);
    Route& route = routes_[number];
    require(route.connecting > 0);
    --route.connecting;
    ++route.open;
    route.failures = 0;
    no_source_until_ = SteadyTime::min();
}

void Queue::on_open_failed(std::uint32_t number, OpenFailure failure, Shard& shard) {
    Action action;
    bool is_news = false;
    {
        const std::lock_guard lock(mutex_);
        Route& route = routes_[number];
        require(route.connecting > 0);
        --route.connecting;
        // Several may have been under way when the first one failed: one failure, told once.
        const SteadyTime now = shard.executor->now();
        is_news = route.failures == 0 || now >= route.retry_at;
        if (is_news) route.retry_at = now + backoff_after(++route.failures, settings_->retry_after);
        last_failure_ = failure.reply.to_string();
        // While other sessions deliver, the mail is theirs; this only says: no more connections for now.
        if (is_news && route.open == 0 && may_deliver_locked() && tasks_.has_ready(number)) {
            action.work = take_locked(number, shard.executor->wall_now(), action.expired);
            if (action.work) action.kind = Action::Kind::Untried;
            action.untried.failure = failure;
        }
    }
    if (is_news) forget_content(shard.executor->now());
    if (is_news) engine_.report_connect_failed(*this, failure, shard);
    perform(std::move(action), shard);
}

void Queue::on_no_source(std::uint32_t number, std::string reason, SteadyTime retry_at) {
    const std::lock_guard lock(mutex_);
    require(routes_[number].connecting > 0);
    --routes_[number].connecting;
    no_source_until_ = retry_at;
    no_source_reason_ = std::move(reason);
}

void Queue::on_source_enabled(Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        no_source_until_ = SteadyTime::min();
    }
    pump(shard, Spread::AllShards);
}

void Queue::on_no_room(std::uint32_t number, std::string reason, SteadyTime retry_at) {
    const std::lock_guard lock(mutex_);
    Route& route = routes_[number];
    require(route.connecting > 0);
    --route.connecting;
    route.room_at = retry_at;
    route.no_room_reason = std::move(reason);
}

void Queue::on_room(Shard& shard, const SharedLimit& limit) {
    {
        const std::lock_guard lock(mutex_);
        for (Route& route : routes_) route.room_at = SteadyTime::min();
        woken_by_ = &limit;
    }
    pump(shard, Spread::AllShards);
    const std::lock_guard lock(mutex_);
    woken_by_ = nullptr;
}

void Queue::on_open_abandoned(std::uint32_t number) {
    const std::lock_guard lock(mutex_);
    require(routes_[number].connecting > 0);
    --routes_[number].connecting;
}

std::string Queue::waiting_domain(std::uint32_t number) const {
    const std::lock_guard lock(mutex_);
    const auto task = tasks_.any_ready(number);
    return task ? engine_.sites.name_of(tasks_[*task].domain) : std::string();
}

void Queue::on_closed(const DeliverySession& session, std::uint32_t number, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        if (session.was_opened()) --routes_[number].open;
        require(connections_ > 0);
        --connections_;
        if (turn_ == &session || (!is_paced_ && session.is_paced())) {
            const Paces paces = message_paces_locked(session);
            const auto rates = lock_rates(paces);
            shaping::leave_all(paces.all(), asker_locked(session));
        }
        if (turn_ == &session) turn_ = nullptr;
        give_back_shared_connections_locked(wider_.size());
        if (session.is_leaving()) {
            --leaving_;
            for (const LimitUse& use : wider_) use.limit->count_leaving(-1);
        }
    }
    engine_.metrics.connections.add(-1);
    pump(shard, Spread::Here);
}

}  // namespace postfleet::sender
