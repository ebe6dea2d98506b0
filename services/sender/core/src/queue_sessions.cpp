// The side of the queue that its sessions see: work, idleness, connection permits, the message rate.

#include <algorithm>
#include <utility>

#include "delivery_session.hpp"
#include "engine.hpp"
#include "postfleet/base/require.hpp"
#include "queue.hpp"

namespace postfleet::sender {

namespace {
constexpr std::uint32_t kTurnTransactions = 100;  // before a session makes room for another destination
}

Queue::Next Queue::next_for(const std::shared_ptr<DeliverySession>& session, Shard& shard) {
    Next next;
    std::vector<Work> expired;
    bool arm = false;
    {
        const std::lock_guard lock(mutex_);
        const std::uint32_t route = session->route();
        if (engine_.is_draining() || connections_ > settings_->max_connections || must_make_room_locked(*session)) {
            next.kind = Next::Kind::Quit;
            return next;
        }
        SteadyTime wake_at = SteadyTime::max();
        const SteadyTime now = shard.executor->now();
        if (may_deliver_locked() && !is_deferred_locked(now, wake_at) && tasks_.has_ready(route) &&
            may_give_locked(now, wake_at)) {
            next.work = take_locked(route, shard.executor->wall_now(), expired);
            if (next.work) {
                next.kind = Next::Kind::Work;
                next.work.is_paced = has_message_rate_locked();
                if (next.work.is_paced) turn_ = session.get();
            }
        }
        if (next.kind == Next::Kind::Idle) idle_[shard.number].push_back(session);
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

// All connections are taken, and there is mail for a destination that has none of them. Then a session of a
// destination with several goes, or one that has nothing to do, or one that had its turn.
bool Queue::must_make_room_locked(const DeliverySession& session) const {
    if (routes_.size() < 2 || connections_ < settings_->max_connections) return false;
    const std::uint32_t mine = session.route();
    const bool can_be_spared =
        routes_[mine].open > 1 || !tasks_.has_ready(mine) || session.transactions() >= kTurnTransactions;
    if (!can_be_spared) return false;
    for (std::uint32_t i = 0; i < routes_.size(); ++i) {
        const Route& other = routes_[i];
        if (i != mine && other.to && other.to->kind == Destination::Kind::Deliverable && other.open == 0 &&
            other.connecting == 0 && tasks_.has_ready(i)) {
            return true;
        }
    }
    return false;
}

bool Queue::leave_idle(const DeliverySession& session, Shard& shard) {
    const std::lock_guard lock(mutex_);
    auto& idle = idle_[shard.number];
    const auto found = std::find_if(idle.begin(), idle.end(), [&](const auto& s) { return s.get() == &session; });
    if (found == idle.end()) return false;
    idle.erase(found);
    return true;
}

// The one that was used last, here if possible: its caches and its connection are warm, and the ones that are
// not needed grow cold and close.
std::shared_ptr<DeliverySession> Queue::pop_idle_locked(std::uint32_t route, unsigned shard) {
    for (std::size_t i = 0; i < idle_.size(); ++i) {
        auto& idle = idle_[(shard + i) % idle_.size()];
        for (std::size_t at = idle.size(); at-- > 0;) {
            if (idle[at]->route() != route) continue;
            auto session = std::move(idle[at]);
            idle.erase(idle.begin() + static_cast<std::ptrdiff_t>(at));
            return session;
        }
    }
    return nullptr;
}

// --- connections ---------------------------------------------------------------------------------------

bool Queue::may_open_locked(Route& route, std::uint32_t number, SteadyTime now, SteadyTime& wake_at) {
    const std::uint64_t wanted = has_message_rate_locked() ? 1 : tasks_.ready_tasks(number);
    if (route.connecting >= wanted) return false;
    if (route.failures > 0) {
        if (route.connecting > 0) return false;  // the probe is on its way
        if (now < route.retry_at) {
            wake_at = std::min(wake_at, route.retry_at);
            return false;
        }
    }
    if (now < no_source_until_) {
        wake_at = std::min(wake_at, no_source_until_);
        return false;
    }
    if (has_message_rate_locked() && turn_ != nullptr) return false;
    if (has_message_rate_locked()) {
        const SteadyTime next = next_message_permit_locked();
        if (now < next) {
            wake_at = std::min(wake_at, next);
            return false;
        }
    }
    if (connections_ >= settings_->max_connections) return false;
    if (!virtual_mta->take_connection()) {
        virtual_mta->wait_for_connection(shared_from_this());
        // One may have come back between the two calls; then nobody would wake us.
        if (!virtual_mta->take_connection()) return false;
    }
    if (const auto wait = virtual_mta->take_connect(connect_rate_, settings_->max_connect_rate.interval(), now)) {
        wake_at = std::min(wake_at, *wait);
        std::vector<std::shared_ptr<Queue>> others;
        virtual_mta->give_back_connection(others);
        for (const auto& other : others) engine_.pump(other);
        return false;
    }
    ++connections_;
    ++route.connecting;
    engine_.metrics.connections.add(1);
    return true;
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

void Queue::on_open_abandoned(std::uint32_t number) {
    const std::lock_guard lock(mutex_);
    require(routes_[number].connecting > 0);
    --routes_[number].connecting;
}

void Queue::on_closed(const DeliverySession& session, std::uint32_t number, Shard& shard) {
    std::vector<std::shared_ptr<Queue>> others;
    {
        const std::lock_guard lock(mutex_);
        if (session.was_opened()) --routes_[number].open;
        require(connections_ > 0);
        --connections_;
        if (turn_ == &session) {
            turn_ = nullptr;
            virtual_mta->leave_message_line(*this);
        }
    }
    engine_.metrics.connections.add(-1);
    virtual_mta->give_back_connection(others);
    for (const auto& other : others) {
        if (other.get() != this) engine_.pump(other);
    }
    pump(shard, Spread::Here);
}

// --- the message rate ----------------------------------------------------------------------------------

bool Queue::has_message_rate_locked() const {
    return !settings_->max_message_rate.is_unlimited() || virtual_mta->has_message_rate();
}

SteadyTime Queue::next_message_permit_locked() const {
    return std::max(message_rate_.next_permit(settings_->max_message_rate.interval()),
                    virtual_mta->next_message_permit());
}

// With a rate, one session at a time holds a task and waits for the permit; the others stay idle. A permit that
// is far away is not worth an open connection: the queue's timer waits for it instead.
bool Queue::may_give_locked(SteadyTime now, SteadyTime& wake_at) const {
    if (!has_message_rate_locked()) return true;
    if (turn_ != nullptr) return false;
    const SteadyTime next = next_message_permit_locked();
    if (next <= now + settings_->idle_timeout) return true;
    wake_at = std::min(wake_at, next);
    return false;
}

std::optional<SteadyTime> Queue::take_message_permit(SteadyTime now) {
    const std::lock_guard lock(mutex_);
    return virtual_mta->take_message(*this, message_rate_, settings_->max_message_rate.interval(), now);
}

void Queue::pass_turn(const DeliverySession& session, SteadyTime used_at, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        if (turn_ != &session) return;
        turn_ = nullptr;
        message_rate_.mark_used(used_at);
        virtual_mta->mark_message_used(used_at);
    }
    pump(shard, Spread::Here);
}

void Queue::release_turn(const DeliverySession& session, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        if (turn_ != &session) return;
        turn_ = nullptr;
        virtual_mta->leave_message_line(*this);
    }
    pump(shard, Spread::Here);
}

}  // namespace postfleet::sender
