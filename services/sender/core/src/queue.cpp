#include "queue.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "delivery_session.hpp"
#include "engine.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/smtp/reply_parser.hpp"

namespace postfleet::sender {

namespace {

constexpr std::size_t kWakeAtOnce = 1000;    // tasks that one timer makes ready before it lets others run
constexpr std::size_t kExpireAtOnce = 1000;  // held tasks that one timer expires
// Due times are wall time and timers steady time; a step of the wall clock is noticed after this at most.
constexpr Duration kLongestSleep = std::chrono::minutes(5);

Untried bounce_for(const Destination& to) {
    Untried untried;
    untried.disposition = Disposition::Bounced;
    untried.failure.phase = SmtpPhase::Resolve;
    untried.failure.ending = smtp::Ending::Refused;
    Reply& reply = untried.failure.reply;
    using Kind = Destination::Kind;
    switch (to.kind) {
        case Kind::NullMx: reply = Reply{0, {5, 1, 10}, "the domain takes no mail (null MX)"}; break;
        case Kind::Loop: reply = Reply{0, {5, 4, 6}, "routing loop"}; break;
        case Kind::Private: reply = Reply{0, {5, 4, 4}, "no host that mail may go to"}; break;
        case Kind::NoSuchDomain:
        case Kind::Deliverable:
        case Kind::Failed: reply = Reply{0, {5, 1, 2}, "the domain does not exist"}; break;
    }
    if (!to.text.empty()) reply.text += ": " + to.text;
    return untried;
}

// What the operator has a queue answer; no server was asked.
Untried forced_answer(const std::string& text) {
    Untried untried;
    smtp::ReplyParser parser;
    const std::string line = text + "\r\n";
    std::string_view input = line;
    require(parser.parse(input) == smtp::ReplyParser::Status::Complete);  // checked when it was configured
    untried.failure.phase = SmtpPhase::Rcpt;
    untried.failure.ending = smtp::Ending::Replied;
    untried.failure.reply = parser.to_reply();
    untried.disposition = judge({.phase = SmtpPhase::Rcpt, .reply = untried.failure.reply}).disposition;
    return untried;
}

}  // namespace

Queue::Queue(Engine& engine, std::string its_site, std::shared_ptr<VirtualMta> its_mta, unsigned its_home)
    : name(its_site + "/" + its_mta->name),
      site(std::move(its_site)),
      virtual_mta(std::move(its_mta)),
      home(its_home),
      engine_(engine),
      idle_(engine.shards.size()),
      wider_(engine.limits.of_queue(site, virtual_mta->name)),
      delivered_total_(engine.metrics.of_queue("delivered", name)),
      deferred_total_(engine.metrics.of_queue("deferred", name)),
      bounced_total_(engine.metrics.of_queue("bounced", name)) {}

// --- mail in and out -----------------------------------------------------------------------------------

void Queue::arrive(schedule::NewTask&& task, const std::shared_ptr<Destination>& to, Shard& shard) {
    Action action;
    std::unique_ptr<schedule::Attachment> forgotten;  // goes last: the task's names may stand in it
    bool waits_for_others = false;                    // of its message, which may share its transaction
    {
        const std::lock_guard lock(mutex_);
        waits_for_others = task.shares_message && settings_->max_domains_per_transaction > 1;
        const std::uint32_t number = task.destination = route_of_locked(to, shard);
        if (task.attachment && !may_keep_content_locked(task.destination, shard.executor->now())) {
            forgotten = std::move(task.attachment);
        }
        keeps_content_ |= task.attachment != nullptr;
        const WallTime now = shard.executor->wall_now();
        // It was stored by an earlier process, whose clock may have been wrong.
        if (!engine_.is_started())
            task.due = bound_due_locked({task.due, task.attempts, task.domain, task.tenant}, now);
        const schedule::TaskId id = tasks_.add(std::move(task), now);
        earliest_expiry_ = std::min(earliest_expiry_, expiry_locked(id));
        if (!waits_for_others) action = next_action_locked(shard, Spread::Here, number);
    }
    if (waits_for_others) {
        shard.executor->post([self = shared_from_this(), &shard] { self->pump(shard, Spread::Here); });
        return;
    }
    if (perform(std::move(action), shard)) pump(shard, Spread::Here);
}

void Queue::finish(schedule::TaskId id, const OutcomeCounts& counts, const std::string& last_failure, SteadyTime now) {
    if (counts.delivered > 0) delivered_total_.add(counts.delivered);
    if (counts.deferred > 0) deferred_total_.add(counts.deferred);
    if (counts.bounced > 0) bounced_total_.add(counts.bounced);
    virtual_mta->counts.delivered += counts.delivered;
    virtual_mta->counts.deferred += counts.deferred;
    virtual_mta->counts.bounced += counts.bounced;
    delivered_rate_.add(now, counts.delivered);
    const std::lock_guard lock(mutex_);
    tasks_.finish(id);
    delivered_ += counts.delivered;
    deferred_ += counts.deferred;
    bounced_ += counts.bounced;
    expired_ += counts.expired;
    if (!last_failure.empty()) last_failure_ = last_failure;
}

void Queue::put_aside(Work&& work, WallTime until, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.defer(work.id, until, shard.executor->wall_now());
    }
    pump(shard, Spread::Here);
}

void Queue::put_back(Work&& work, Shard& shard) {
    {
        const std::lock_guard lock(mutex_);
        keeps_content_ |= work.hot != nullptr;
        tasks_[work.id].attachment = std::move(work.hot);
        tasks_.put_back(work.id);
    }
    pump(shard, Spread::Here);
}

void Queue::on_resolve_failed(const std::shared_ptr<Destination>& to, Shard& shard) {
    Action action;
    {
        const std::lock_guard lock(mutex_);
        const std::uint32_t number = route_of_locked(to, shard);
        Route& route = routes_[number];
        ++route.failures;
        route.retry_at =
            shard.executor->now() + jittered(backoff_after(route.failures, settings_->retry_after), shard.random());
        last_failure_ = to->text;
        action.untried.failure.phase = SmtpPhase::Resolve;
        action.untried.failure.reply = Reply{0, {4, 4, 3}, "DNS: " + to->text};
        if (tasks_.has_ready(number)) {
            action.work = take_locked(number, shard.executor->wall_now(), action.expired);
            if (action.work) action.kind = Action::Kind::Untried;
        }
    }
    forget_content(shard.executor->now());
    perform(std::move(action), shard);
    pump(shard, Spread::AllShards);
}

// --- what goes next ------------------------------------------------------------------------------------

void Queue::pump(Shard& shard, Spread spread) {
    for (bool more = true; more;) {
        Action action;
        {
            const std::lock_guard lock(mutex_);
            action = next_action_locked(shard, spread);
        }
        more = perform(std::move(action), shard);
    }
}

bool Queue::may_deliver_locked() const { return !paused_ && virtual_mta->is_configured() && engine_.may_transact(); }

// True: `action` is something to do.
bool Queue::try_route_locked(std::uint32_t number, Shard& shard, Spread spread, Action& action, SteadyTime& wake_at) {
    Route& route = routes_[number];
    const SteadyTime now = shard.executor->now();
    const WallTime wall_now = shard.executor->wall_now();
    if (!settings_->forced_reply.empty()) {
        action.work = take_locked(number, wall_now, action.expired);
        if (action.work) action.kind = Action::Kind::Untried;
        action.untried = forced_answer(settings_->forced_reply);
        return true;
    }
    if (!route.to) return false;  // DNS has not answered: its answer pumps
    if (route.to->is_permanent_failure()) {
        action.work = take_locked(number, wall_now, action.expired);
        if (action.work) action.kind = Action::Kind::Untried;
        action.untried = bounce_for(*route.to);
        return true;
    }
    if (route.to->kind == Destination::Kind::Failed) {
        if (now < route.retry_at) {
            wake_at = std::min(wake_at, route.retry_at);
            return false;
        }
        route.retry_at = now + jittered(backoff_after(route.failures + 1, settings_->retry_after), shard.random());
        action.kind = Action::Kind::AskAgain;
        action.domain = tasks_[*tasks_.any_ready(number)].domain;
        return true;
    }
    if (wants_to_move_locked(now, wall_now)) {
        action.work = take_locked(number, wall_now, action.expired);
        if (action.work) action.kind = Action::Kind::Move;
        return true;
    }
    if (leaves_instead_locked(now, wall_now, wake_at)) return false;
    if (may_give_locked(now, wake_at)) {
        if (auto session = pop_idle_locked(number, shard.number, now, wake_at)) {
            action.work = take_locked(number, wall_now, action.expired);
            if (!action.work) {  // everything that was ready has expired
                push_idle_locked(std::move(session), now);
                return true;
            }
            mark_paced_locked(action.work, session);
            action.kind = Action::Kind::Assign;
            action.session = std::move(session);
            return true;
        }
    }
    if (!may_open_locked(number, now, action, wake_at)) return false;
    action.kind = Action::Kind::Open;
    action.route = number;
    action.destination = route.to;
    action.shard = spread == Spread::Here ? shard.number : static_cast<unsigned>(next_shard_++ % engine_.shards.size());
    return true;
}

// Carries out what next_action_locked() found; true: ask again.
bool Queue::perform(Action&& action, Shard& shard) {
    if (action.arm) {
        if (shard.number == home) {
            set_timer();
        } else {
            engine_.on_shard(home, [self = shared_from_this()](Shard&) { self->set_timer(); });
        }
    }
    for (Work& work : action.expired) {
        if (work.is_ordered) {
            engine_.obey(std::move(work), shard);
            continue;
        }
        Untried expired;
        expired.disposition = Disposition::Expired;
        engine_.finish_untried(std::move(work), std::move(expired), shard);
    }
    switch (action.kind) {
        case Action::Kind::None: return !action.expired.empty();
        case Action::Kind::Assign: {
            const unsigned number = action.session->shard_number();
            if (number == shard.number) {
                action.session->assign(std::move(action.work));
            } else {
                auto work = std::make_unique<Work>(std::move(action.work));
                engine_.on_shard(number, [session = std::move(action.session), work = std::move(work)](Shard&) {
                    session->assign(std::move(*work));
                });
            }
            return true;
        }
        case Action::Kind::Open: {
            const auto open = [self = shared_from_this(), route = action.route, to = std::move(action.destination)](
                                  Shard& on) { DeliverySession::open(self->engine_, on, self, route, to); };
            if (action.shard == shard.number) {
                open(shard);
            } else {
                engine_.on_shard(action.shard, open);
            }
            return true;
        }
        case Action::Kind::Leave: {
            const unsigned number = action.session->shard_number();
            engine_.on_shard(number, [session = std::move(action.session)](Shard&) { session->leave(); });
            return true;
        }
        case Action::Kind::Untried:
            engine_.finish_untried(std::move(action.work), std::move(action.untried), shard);
            return true;
        case Action::Kind::Move: engine_.move_on(std::move(action.work), shard); return true;
        case Action::Kind::AskAgain: engine_.sites.ask_again(action.domain, *shard.executor); return true;
    }
    return false;
}

Work Queue::make_work_locked(schedule::TaskId id) {
    schedule::WaitingTask& task = tasks_[id];
    Work work;
    work.queue = shared_from_this();
    work.id = id;
    work.key = task.key;
    work.domain = task.domain;
    work.recipients = task.recipients;
    work.due = task.due;
    work.shares_message = task.shares_message;
    work.expires = expiry_locked(id);
    work.settings = settings_;
    work.hot.reset(static_cast<HotTask*>(task.attachment.release()));
    return work;
}

Work Queue::take_locked(std::uint32_t route, WallTime now, std::vector<Work>& expired) {
    std::uint32_t ordered = 0;
    while (const auto id = tasks_.take(route)) {
        if (!engine_.orders.is_empty()) {
            if (ordered == kSlice) {  // others have their turn
                tasks_.put_back(*id);
                engine_.pump(shared_from_this());
                return {};
            }
            if (const OrderPointer order = engine_.orders.find(facts_locked(*id))) {
                ++ordered;
                if (order->is_pause()) {
                    tasks_.put_back(*id);  // it does not count as its lane's turn
                    tasks_.hold(*id, order->number());
                } else {
                    expired.push_back(make_work_locked(*id));
                    expired.back().is_ordered = true;
                }
                continue;
            }
        }
        Work work = make_work_locked(*id);
        if (work.expires > now) return work;
        expired.push_back(std::move(work));
    }
    return {};
}

WallTime Queue::expiry_locked(schedule::TaskId id) const {
    const schedule::WaitingTask& task = tasks_[id];
    Duration expire_after = settings_->expire_after;
    if (engine_.mail_keys_differ()) {
        const std::string domain = engine_.sites.name_of(task.domain);
        expire_after = engine_.mail_settings(*this, domain, tasks_.tenant_of(id))->expire_after;
    }
    return expiry_of(task.accepted_at, task.deadline, expire_after);
}

// --- time ----------------------------------------------------------------------------------------------

SteadyTime Queue::next_wake_locked(Shard& shard, SteadyTime wake_at) const {
    if (tasks_.is_empty() && !is_in_backoff()) return SteadyTime::max();
    const SteadyTime now = shard.executor->now();
    const WallTime wall_now = shard.executor->wall_now();
    const auto at = [&](WallTime when) {
        if (when <= wall_now) return now;
        return when - wall_now > kLongestSleep ? now + kLongestSleep : now + (when - wall_now);
    };
    if (const auto due = tasks_.next_due()) wake_at = std::min(wake_at, at(*due));
    if (earliest_expiry_ != schedule::kNever) wake_at = std::min(wake_at, at(earliest_expiry_));
    if (is_in_backoff() && mode_.until != schedule::kNever) wake_at = std::min(wake_at, at(mode_.until));
    return wake_at;
}

void Queue::set_timer() {
    Executor& executor = *engine_.shards[home]->executor;
    SteadyTime when;
    {
        const std::lock_guard lock(mutex_);
        when = armed_for_;
    }
    executor.cancel(timer_);
    timer_ = {};
    if (when == SteadyTime::max()) return;
    timer_ = executor.schedule_at(when, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->on_timer();
    });
}

void Queue::on_timer() {
    Shard& shard = *engine_.shards[home];
    std::vector<Woken> woken;
    bool look_for_expired = false, is_set_back = false;
    {
        const std::lock_guard lock(mutex_);
        is_set_back = was_set_back_locked(shard.executor->wall_now(), shard.executor->now());
    }
    if (is_set_back) bound_waits(shard.executor->wall_now());
    {
        const std::lock_guard lock(mutex_);
        timer_ = {};
        armed_for_ = SteadyTime::max();
        tasks_.wake_due(shard.executor->wall_now(), kWakeAtOnce, [&](schedule::TaskId id) {
            woken.push_back({id, tasks_[id].key, tasks_[id].domain});
        });
        look_for_expired = earliest_expiry_ <= shard.executor->wall_now();
    }
    look_where_they_go(woken, shard);
    if (look_for_expired) expire_held(shard);
    if (has_served_its_time(shard.executor->wall_now())) set_mode(QueueMode::Normal, "leave_after", shard);
    pump(shard, Spread::AllShards);
}

// It may have changed while they waited. What is too old to be believed waits for the answer, out of every
// destination's lane.
void Queue::look_where_they_go(const std::vector<Woken>& woken, Shard& shard) {
    std::vector<std::shared_ptr<Destination>> destinations;
    for (std::size_t i = 0; i < woken.size(); ++i) {
        const bool is_same = i > 0 && woken[i].domain == woken[i - 1].domain;
        destinations.push_back(is_same ? destinations.back()
                                       : engine_.sites.look_again(woken[i].domain, *shard.executor).destination);
    }
    std::set<std::uint32_t> unknown;
    std::vector<Leaving> leaving;
    {
        const std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < woken.size(); ++i) {
            const auto& [id, key, domain] = woken[i];
            if (!tasks_.is_still(id, key) || tasks_[id].state != schedule::TaskState::Ready) continue;
            const std::shared_ptr<Destination>& to = destinations[i];
            if (to && to->site != site) {
                leaving.push_back(extract_locked(id, to));
                continue;
            }
            tasks_.set_destination(id, route_of_locked(to, shard));
            if (!to) unknown.insert(domain);
        }
    }
    for (Leaving& task : leaving) engine_.move_to(std::move(task), *this, shard);
    // The answer may have come while the task was on its way into the lane that waits for it.
    for (const std::uint32_t domain : unknown) engine_.recheck(domain, site, shard);
}

// Mail that cannot go (paused, held) expires in its time all the same.
void Queue::expire_held(Shard& shard) {
    const WallTime now = shard.executor->wall_now();
    std::vector<Work> expired;
    WallTime earliest = schedule::kNever;
    {
        const std::lock_guard lock(mutex_);
        earliest_expiry_ = schedule::kNever;  // what arrives meanwhile lowers it
    }
    std::uint32_t from = 0;
    do {
        const std::lock_guard lock(mutex_);
        std::vector<schedule::TaskId> ids;
        from = tasks_.visit_tasks(from, kSlice, [&](schedule::TaskId id, schedule::WaitingTask& task) {
            if (task.state == schedule::TaskState::InFlight) return;
            const WallTime expires = expiry_locked(id);
            if (expires <= now && expired.size() + ids.size() < kExpireAtOnce) {
                ids.push_back(id);
            } else {
                earliest = std::min(earliest, expires);
            }
        });
        for (const schedule::TaskId id : ids) {
            tasks_.claim(id);
            expired.push_back(make_work_locked(id));
        }
    } while (from != 0);
    {
        const std::lock_guard lock(mutex_);
        // What is left over comes in the next round, after others had their turn. A million tasks that expire one after
        // the other cost no more than 1 % of a shard, and are up to a second late.
        const auto rest = std::chrono::ceil<WallTime::duration>(tasks_.counts().tasks * kRestPerTask);
        earliest = earliest <= now ? now + std::chrono::milliseconds(50) : std::max(earliest, now + rest);
        earliest_expiry_ = std::min(earliest_expiry_, earliest);
    }
    for (Work& work : expired) {
        Untried untried;
        untried.disposition = Disposition::Expired;
        engine_.finish_untried(std::move(work), std::move(untried), shard);
    }
}

}  // namespace postfleet::sender
