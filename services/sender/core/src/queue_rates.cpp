// Rates: who of the sessions may send now, and when the others may.

#include <algorithm>
#include <utility>

#include "delivery_session.hpp"
#include "engine.hpp"
#include "postfleet/base/require.hpp"
#include "queue.hpp"

namespace postfleet::sender {

void Queue::Paces::add(shaping::PacedLimit& limit, const shaping::Pace& pace, bool is_shared) {
    if (pace.is_unlimited()) return;
    require(count < kMost);
    scopes[count++] = {&limit, pace};
    are_shared = are_shared || is_shared;
}

// The mutex of shared rates, if one of these is shared.
std::unique_lock<std::mutex> Queue::lock_rates(const Paces& paces) {
    return paces.are_shared ? std::unique_lock(engine_.limits.rates_mutex()) : std::unique_lock<std::mutex>();
}

Queue::Paces Queue::message_paces_locked(const DeliverySession& session) {
    Paces paces;
    paces.add(messages_, {settings_->max_message_rate.interval(), settings_->max_data_rate}, false);
    for (const LimitUse& use : wider_) paces.add(use.limit->messages, use.pace(), true);
    for (const LimitUse& use : session.address_limits()) paces.add(use.limit->messages, use.pace(), true);
    return paces;
}

// After every change of settings.
void Queue::find_pace_locked() {
    is_paced_ = !settings_->max_message_rate.is_unlimited() || !settings_->max_data_rate.is_unlimited();
    counts_recipients_ = !settings_->max_message_rate.is_unlimited();
    for (LimitUse& use : wider_) {
        use.allows = use.limit->limits();
        const auto idle = static_cast<std::int32_t>(idle_sessions_);
        const bool counted_idle = std::exchange(use.counts_idle, use.limits_connections());
        if (counted_idle != use.counts_idle) use.limit->count_idle(use.counts_idle ? idle : -idle);
        is_paced_ = is_paced_ || use.allows.is_paced();
        counts_recipients_ = counts_recipients_ || !use.allows.max_message_rate.is_unlimited();
    }
}

SteadyTime Queue::next_message_permit_locked() const {
    SteadyTime next = messages_.next({settings_->max_message_rate.interval(), settings_->max_data_rate});
    for (const LimitUse& use : wider_) {
        if (use.allows.is_paced()) next = std::max(next, use.limit->messages.next(use.pace()));
    }
    return next;
}

// With a rate of the queue, or a wider one, one session at a time holds a task and waits for the permit; the others
// stay idle. A permit that is far away is not worth an open connection: the queue's timer waits for it instead.
bool Queue::may_give_locked(SteadyTime now, SteadyTime& wake_at) const {
    if (!is_paced_) return true;
    if (turn_ != nullptr) return false;
    const SteadyTime next = next_message_permit_locked();
    if (now >= permit_at_ && next <= now + settings_->idle_timeout) return true;
    wake_at = std::min(wake_at, std::max(permit_at_, next));
    return false;
}

const void* Queue::asker_locked(const DeliverySession& session) const {
    return is_paced_ ? static_cast<const void*>(this) : &session;
}

void Queue::mark_paced_locked(Work& work, const std::shared_ptr<DeliverySession>& session) {
    work.is_paced = is_paced_ || session->is_paced();
    work.is_one_recipient = counts_recipients_ || session->counts_recipients();
    if (is_paced_) turn_ = session.get();
}

std::optional<SteadyTime> Queue::take_message_permit(const DeliverySession& session, std::uint64_t octets,
                                                     SteadyTime now) {
    const std::lock_guard lock(mutex_);
    const Paces paces = message_paces_locked(session);
    const auto rates = lock_rates(paces);
    return shaping::take_all(paces.all(), {asker_locked(session), settings_->priority}, octets, now);
}

void Queue::wait_for_permit(const DeliverySession& session, SteadyTime until) {
    const std::lock_guard lock(mutex_);
    if (turn_ != &session) return;
    turn_ = nullptr;
    permit_at_ = until;
}

void Queue::pass_turn(const DeliverySession& session, SteadyTime used_at, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        if (turn_ == &session) turn_ = nullptr;
        const Paces paces = message_paces_locked(session);
        const auto rates = lock_rates(paces);
        shaping::mark_all_used(paces.all(), used_at);
    }
    pump(shard, Spread::Here);
}

void Queue::release_turn(const DeliverySession& session, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        if (turn_ != &session && !session.is_paced()) return;
        if (turn_ == &session) turn_ = nullptr;
        const Paces paces = message_paces_locked(session);
        const auto rates = lock_rates(paces);
        shaping::leave_all(paces.all(), asker_locked(session));
    }
    pump(shard, Spread::Here);
}

}  // namespace postfleet::sender
