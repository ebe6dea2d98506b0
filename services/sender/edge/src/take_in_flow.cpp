// When the take-in goes on, when it waits, and when it goes through the overflow queue.

#include <algorithm>
#include <utility>

#include "broker_take_in_work.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::sender {

namespace {

// Of all that we may be given, for the three queues: mail that is not urgent is nearly all.
constexpr std::uint64_t kLeastOctets = 64 * 1024;

std::uint64_t budget_of(TakeInLane::Kind kind, std::uint64_t prefetch) {
    const std::uint64_t share = kind == TakeInLane::Kind::Normal ? prefetch / 2 : prefetch / 4;
    return std::max(share, kLeastOctets);
}

const char* label_of(TakeInLane::Kind kind) {
    switch (kind) {
        case TakeInLane::Kind::High: return "high";
        case TakeInLane::Kind::Normal: return "normal";
        case TakeInLane::Kind::Overflow: return "overflow";
    }
    return "unknown";
}

}  // namespace

BrokerTakeIn::Work::Work(BrokerTakeInPorts ports, std::string sender, config::TakeIn settings)
    : ports_(std::move(ports)),
      sender_(std::move(sender)),
      settings_(settings),
      taken_(ports_.metrics.counter("postfleet_take_in_messages_total", "Hand-overs that are in the spool.")),
      overflowed_(ports_.metrics.counter("postfleet_take_in_overflowed_total",
                                         "Hand-overs put into the overflow queue, or back to its end.")),
      rejected_(ports_.metrics.counter("postfleet_take_in_rejected_total", "Hand-overs that could not be read.")),
      repeated_(ports_.metrics.counter("postfleet_take_in_repeated_total",
                                       "Hand-overs given out again while the first one was waiting.")),
      waiting_gauge_(ports_.metrics.gauge("postfleet_take_in_held", "1 while nothing is taken in.")),
      // Different in every process, or an old mark would end a new sweep.
      sweep_(IdGenerator().next(wall_clock_now()).to_string()) {
    lanes_[0] = {.kind = TakeInLane::Kind::High, .queue = wire::deliver_high_queue(sender_)};
    lanes_[1] = {.kind = TakeInLane::Kind::Normal, .queue = wire::deliver_queue(sender_)};
    lanes_[2] = {.kind = TakeInLane::Kind::Overflow, .queue = wire::overflow_queue(sender_)};
}

void BrokerTakeIn::Work::start() {
    ports_.on.post(guarded([](Work& self) {
        if (self.started_ || self.stopping_) return;
        self.started_ = true;
        self.open(self.lanes_[0]);
        self.open(self.lanes_[1]);
        self.tick();
    }));
}

void BrokerTakeIn::Work::reload(config::TakeIn settings) {
    ports_.on.post(guarded([settings](Work& self) {
        self.settings_ = settings;
        if (self.started_) self.work();
    }));
}

std::string BrokerTakeIn::Work::obstacle() const {
    const std::lock_guard lock(mutex_);
    return obstacle_;
}

// --- consumers -----------------------------------------------------------------------------------------

void BrokerTakeIn::Work::open(TakeInLane& lane) {
    if (lane.consumer) return;
    const std::uint32_t opened = ++lane.opened;
    lane.paused = false;
    lane.consumer = ports_.consume({.queue = lane.queue,
                                    .name = sender_ + "-" + label_of(lane.kind),
                                    .most_unsettled = kMostUnsettled,
                                    .most_octets = budget_of(lane.kind, settings_.prefetch),
                                    .on = &ports_.on,
                                    .deliver = guarded([&lane, opened](Work& self, BrokerDelivery&& delivery) {
                                        if (lane.opened == opened && lane.consumer) {
                                            self.on_delivery(lane, std::move(delivery));
                                        }
                                    }),
                                    .lost = guarded([&lane, opened](Work& self) {
                                        // It comes again, and what is under way with it is known by its id.
                                        if (lane.opened == opened) self.forget(lane);
                                    })});
}

// What it has given us and is not settled is the broker's again.
void BrokerTakeIn::Work::close(TakeInLane& lane) {
    if (!lane.consumer) return;
    forget(lane);
    let_go(std::move(lane.consumer), [] {});
}

void BrokerTakeIn::Work::let_go(std::unique_ptr<BrokerConsumer> consumer, UniqueFunction<void()> then) {
    BrokerConsumer* const raw = leaving_.emplace_back(std::move(consumer)).get();
    raw->stop({&ports_.on, guarded([raw, then = std::move(then)](Work& self, const Status&) mutable {
                   const auto found = std::find_if(self.leaving_.begin(), self.leaving_.end(),
                                                   [&](const auto& one) { return one.get() == raw; });
                   std::unique_ptr<BrokerConsumer> gone = std::move(*found);
                   self.leaving_.erase(found);
                   if (self.ports_.dispose) self.ports_.dispose(std::move(gone));
                   gone.reset();
                   then();
               })});
}

void BrokerTakeIn::Work::pause_where_needed() {
    for (TakeInLane& lane : lanes_) {
        const bool is_ending = lane.kind == TakeInLane::Kind::Overflow && !sweep_.is_sweeping();
        lane.set_paused(is_paused() || is_ending);
    }
    set_obstacle();
}

void BrokerTakeIn::Work::set_obstacle() {
    std::string obstacle = unsupported_;
    if (obstacle.empty()) obstacle = held_;
    if (obstacle.empty() && full_) obstacle = "the spool is at its high-water mark";
    waiting_gauge_.set(obstacle.empty() ? 0 : 1);
    for (const TakeInLane& lane : lanes_) {
        if (obstacle.empty() && lane.consumer) obstacle = lane.consumer->obstacle();
    }
    const std::lock_guard lock(mutex_);
    obstacle_ = std::move(obstacle);
}

// --- marks, and what holds everything up ---------------------------------------------------------------

void BrokerTakeIn::Work::watch_marks() {
    const Sender::Backlog backlog = ports_.backlog();
    const auto above = [&](double share) {
        return static_cast<double>(backlog.messages) >= static_cast<double>(settings_.max_messages) * share ||
               static_cast<double>(backlog.octets) >= static_cast<double>(settings_.max_octets) * share;
    };
    const bool full = above(full_ ? kLowMark : 1);
    if (full == full_) return;
    full_ = full;
    ports_.log.line(LogLevel::Info, full ? "take-in-full" : "take-in-goes-on")
        .field("messages", backlog.messages)
        .field("octets", backlog.octets);
    pause_where_needed();
}

void BrokerTakeIn::Work::hold(std::string reason) {
    if (held_.empty()) {
        held_since_ = ports_.on.now();
        ports_.log.line(LogLevel::Warning, "take-in-held").field("reason", reason);
    }
    held_ = reason.empty() ? "the spool takes nothing" : std::move(reason);
    pause_where_needed();
    if (retry_) return;
    retry_ = ports_.on.schedule_at(ports_.on.now() + kRetry, guarded([](Work& self) {
                                       self.retry_ = {};
                                       self.look_at_hold();
                                   }));
}

void BrokerTakeIn::Work::look_at_hold() {
    if (stopping_) return;
    const bool is_too_long = ports_.on.now() - held_since_ >= kHoldAtMost;
    if (is_too_long && under_way_ == 0) {
        for (TakeInLane& lane : lanes_) close(lane);
    }
    if (const Admission admission = ports_.handover.admission(); !admission.open) return hold(admission.reason);
    if (const std::string obstacle = ports_.publisher.obstacle(); is_too_long && !obstacle.empty())
        return hold(obstacle);
    held_.clear();
    open(lanes_[0]);
    open(lanes_[1]);
    if (sweep_.is_sweeping()) open(lanes_[2]);
    pause_where_needed();
    work();
    if (held_.empty()) ports_.log.line(LogLevel::Info, "take-in-goes-on");
}

// --- the overflow queue --------------------------------------------------------------------------------

void BrokerTakeIn::Work::tick() {
    if (stopping_) return;
    watch_marks();
    watch_overflow();
    set_obstacle();
    timer_ = ports_.on.schedule_at(ports_.on.now() + kTick, guarded([](Work& self) { self.tick(); }));
}

void BrokerTakeIn::Work::watch_overflow() {
    const SteadyTime now = ports_.on.now();
    const TakeInLane& lane = lanes_[2];
    // Nothing comes, and that says nothing about what is there.
    if (is_paused() || (lane.consumer && !lane.consumer->obstacle().empty())) sweep_.wait(now);
    if (is_paused()) return;
    const auto room = [this](double share) {
        return [this, share](std::string_view domain, std::string_view virtual_mta) {
            return has_room(domain, virtual_mta, share);
        };
    };
    if (!lane.consumer && sweep_.should_begin(now, room(0.5))) {
        sweep_.begin(now);
        return open(lanes_[2]);
    }
    if (!sweep_.is_sweeping()) return;
    if (sweep_.is_idle(now) && lane.waiting.empty()) return end_sweep(OverflowSweep::Ended::AllSeen);
    if (sweep_.is_in_vain(room(1))) end_sweep(OverflowSweep::Ended::Early);
}

// What is under way is finished first, so that it is acknowledged. What waits is the broker's again with the end of the
// consumer, and stands where it was.
void BrokerTakeIn::Work::end_sweep(OverflowSweep::Ended how) {
    if (!sweep_.is_sweeping()) return;
    sweep_.end(ports_.on.now(), how);
    TakeInLane& lane = lanes_[2];
    lane.set_paused(true);
    give_back_waiting(lane);
    close_overflow_when_done();
}

void BrokerTakeIn::Work::close_overflow_when_done() {
    if (!sweep_.is_sweeping() && overflow_under_way_ == 0) close(lanes_[2]);
}

void BrokerTakeIn::Work::remember_places(const wire::Handover& handover) {
    for (const Task& task : handover.tasks) sweep_.remember(task.domain, task.virtual_mta);
}

// What waits in a lane is the broker's again with the end of its consumer; what another queue has given, too, waits there.
void BrokerTakeIn::Work::give_back_waiting(TakeInLane& lane) {
    for (const MessageId& id : std::exchange(lane.waiting, {})) {
        Item& item = items_.at(id);
        const bool stays_unseen = item.is_from_overflow() && !sweep_.is_sweeping();
        if (stays_unseen) remember_places(item.handover);
        std::erase_if(item.sources, [&](const TakeInSource& source) { return source.lane == &lane; });
        if (item.sources.empty()) {
            items_.erase(id);
        } else {
            item.lane = item.sources.front().lane;
            item.lane->waiting.push_back(id);
        }
    }
}

// Everything that it has given us is the broker's again.
void BrokerTakeIn::Work::forget(TakeInLane& lane) {
    give_back_waiting(lane);
    for (auto& [id, item] : items_) {
        std::erase_if(item.sources, [&](const TakeInSource& source) { return source.lane == &lane; });
    }
}

// --- the end -------------------------------------------------------------------------------------------

void BrokerTakeIn::Work::stop(Completion<Status> done) {
    // Held by the post: who stops may let go of us at once.
    ports_.on.post([self = shared_from_this(), done = std::move(done)]() mutable {
        self->stopping_ = true;
        self->stopped_ = std::move(done);
        self->ports_.on.cancel(self->timer_);
        self->ports_.on.cancel(self->retry_);
        for (TakeInLane& lane : self->lanes_) {
            for (const MessageId& id : std::exchange(lane.waiting, {})) self->items_.erase(id);
            lane.set_paused(true);
        }
        self->finish_stopping();
    });
}

void BrokerTakeIn::Work::finish_stopping() {
    if (!stopping_ || !stopped_ || under_way_ > 0 || rejecting_ > 0) return;
    auto left = std::make_shared<std::size_t>(1);
    auto done = std::make_shared<Completion<Status>>(std::move(*stopped_));
    stopped_.reset();
    const auto one_less = [left, done] {
        if (--*left > 0) return;
        done->on->post([done] { done->run(Status()); });
    };
    for (TakeInLane& lane : lanes_) {
        if (!lane.consumer) continue;
        ++*left;
        let_go(std::move(lane.consumer), one_less);
    }
    one_less();
}

}  // namespace postfleet::sender
