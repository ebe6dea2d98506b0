// The way of one hand-over: from a delivery to the spool, or to the overflow queue.

#include <algorithm>
#include <utility>

#include "broker_take_in_work.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::sender {

namespace {

std::string header_of(const BrokerMessage& message, std::string_view name) {
    for (const auto& [key, value] : message.headers) {
        if (key == name) return value;
    }
    return {};
}

// The part of a hand-over that goes its own way has an id of its own, the same whenever it is cut off again.
MessageId id_of_part(const MessageId& whole, std::uint32_t first_task) {
    const EventId hash = hash_event_id("part/" + whole.to_string() + "/" + std::to_string(first_task));
    MessageId id;
    id.octets = hash.octets;
    return id;
}

// Under what a hand-over is taken once. Not under its id alone: a message that is offered again may be parted otherwise
// than before, because a virtual MTA has another sender now, and what was never taken must not be dropped as a copy.
MessageId taken_as(const wire::Handover& handover) {
    const std::vector<Task>& tasks = handover.tasks;
    if (tasks.size() == 1 && tasks.front().key.number == 0) return handover.id;
    std::vector<std::uint32_t> numbers;  // in one order: overflowing changes that of the tasks
    for (const Task& task : tasks) numbers.push_back(task.key.number);
    std::sort(numbers.begin(), numbers.end());
    std::string which = "tasks/" + handover.id.to_string();
    for (const std::uint32_t number : numbers) which.append("/").append(std::to_string(number));
    MessageId id;
    id.octets = hash_event_id(which).octets;
    return id;
}

// What a hand-over of several chunks waits for.
struct Appending {
    std::size_t left = 0;
    Status failed;
};

}  // namespace

void BrokerTakeIn::Work::on_delivery(TakeInLane& lane, BrokerDelivery&& delivery) {
    if (stopping_) return;
    const TakeInSource source{&lane, lane.opened, delivery.tag};
    auto handover = wire::decode_handover(*delivery.message.body);
    if (!handover && handover.error().kind == ErrorKind::Unavailable) {
        if (unsupported_.empty()) {
            ports_.log.line(LogLevel::Error, "take-in-stopped").field("reason", handover.error().text);
        }
        unsupported_ = handover.error().text;  // not settled: it is the broker's again when we end
        return pause_where_needed();
    }
    if (!handover) return reject(source, std::move(delivery.message), handover.error().text);
    if (lane.kind == TakeInLane::Kind::Overflow) {
        // The consumer ends soon, and it is the broker's again.
        if (!sweep_.is_sweeping()) return remember_places(*handover);
        if (sweep_.came(header_of(delivery.message, kSweepHeader), ports_.on.now())) {
            return end_sweep(OverflowSweep::Ended::AllSeen);
        }
    }
    const MessageId id = taken_as(*handover);
    const auto [found, is_new] = items_.try_emplace(id);
    found->second.sources.push_back(source);
    if (!is_new) {
        repeated_.add();
        return;
    }
    found->second.handover = *std::move(handover);
    found->second.body = std::move(delivery.message.body);
    found->second.lane = &lane;
    lane.waiting.push_back(id);
    work();
}

void BrokerTakeIn::Work::reject(TakeInSource source, BrokerMessage&& message, std::string reason) {
    ports_.log.line(LogLevel::Error, "handover-rejected")
        .field("queue", source.lane->queue)
        .field("message", message.message_id)
        .field("reason", reason);
    auto retry = message;
    // The broker wants one; of these octets it is always the same.
    if (message.message_id.empty()) message.message_id = hash_event_id(*message.body).to_string();
    message.headers.emplace_back("x-postfleet-reason", reason);
    message.headers.emplace_back("x-postfleet-queue", source.lane->queue);
    ++rejecting_;
    ports_.publisher.publish(
        {std::string(wire::kRejectedExchange), ""}, std::move(message),
        {&ports_.on, guarded([source, reason, retry = std::move(retry)](Work& self, Status status) mutable {
             --self.rejecting_;
             if (status) {
                 self.rejected_.add();
                 source.acknowledge();
                 return self.finish_stopping();
             }
             if (self.stopping_) return self.finish_stopping();
             if (status.error().kind == ErrorKind::InvalidArgument)
                 retry.headers.clear();  // with ours they are too long
             self.ports_.on.schedule_at(self.ports_.on.now() + kTick,
                                        self.guarded([source, reason, retry = std::move(retry)](Work& again) mutable {
                                            if (!again.stopping_) again.reject(source, std::move(retry), reason);
                                        }));
         })});
}

// --- which goes next -----------------------------------------------------------------------------------

TakeInLane* BrokerTakeIn::Work::next_lane() {
    TakeInLane &high = lanes_[0], &normal = lanes_[1], &overflow = lanes_[2];
    TakeInLane* const other = !normal.waiting.empty() ? &normal : !overflow.waiting.empty() ? &overflow : nullptr;
    if (high.waiting.empty()) return other;
    if (other == nullptr) return &high;
    if (++high_in_a_row_ < kNormalShare) return &high;
    high_in_a_row_ = 0;
    return other;
}

void BrokerTakeIn::Work::work() {
    while (held_.empty() && under_way_ < kMostUnderWay && octets_under_way_ < kMostOctetsUnderWay) {
        TakeInLane* const lane = next_lane();
        if (lane == nullptr) break;
        if (const Admission admission = ports_.handover.admission(); !admission.open) return hold(admission.reason);
        start_next(*lane);
    }
    watch_marks();
}

void BrokerTakeIn::Work::start_next(TakeInLane& lane) {
    const MessageId id = lane.waiting.front();
    lane.waiting.pop_front();
    Item& item = items_.at(id);
    item.is_under_way = true;
    ++under_way_;
    if (item.is_from_overflow()) ++overflow_under_way_;
    octets_under_way_ += item.octets();
    begin(id);
}

void BrokerTakeIn::Work::count_done(Item& item) {
    item.is_under_way = false;
    --under_way_;
    if (item.is_from_overflow()) --overflow_under_way_;
    octets_under_way_ -= item.octets();
}

bool BrokerTakeIn::Work::has_room(std::string_view domain, std::string_view virtual_mta, double share) const {
    return static_cast<double>(ports_.queued_for(domain, virtual_mta)) <
           static_cast<double>(settings_.queue_quota) * share;
}

// Behind the tasks that may come in.
std::vector<Task>::iterator BrokerTakeIn::Work::first_over(std::vector<Task>& tasks) const {
    return std::stable_partition(tasks.begin(), tasks.end(),
                                 [this](const Task& task) { return has_room(task.domain, task.virtual_mta, 1); });
}

void BrokerTakeIn::Work::begin(const MessageId& id) {
    std::vector<Task>& tasks = items_.at(id).handover.tasks;
    if (first_over(tasks) == tasks.end()) return commit(id);
    // Given out again after a lost acknowledgement: from the overflow queue it might come when nobody remembers it, or
    // under an id that nobody knows.
    ports_.was_taken(id, {&ports_.on, guarded([id](Work& self, const Result<bool>& taken) {
                              if (!taken) return self.put_back(id, taken.error());
                              if (*taken) return self.finish(id);
                              self.turn_away(id);
                          })});
}

void BrokerTakeIn::Work::turn_away(const MessageId& id) {
    Item& item = items_.at(id);
    std::vector<Task>& tasks = item.handover.tasks;
    const auto over = first_over(tasks);
    if (over == tasks.end()) return commit(id);
    for (auto task = over; task != tasks.end(); ++task) sweep_.remember(task->domain, task->virtual_mta);
    if (over != tasks.begin()) {
        std::vector<Task> leaving(std::make_move_iterator(over), std::make_move_iterator(tasks.end()));
        tasks.erase(over, tasks.end());
        return split(id, std::move(leaving));
    }
    overflow(id, item.body, id, guarded([id](Work& self) { self.finish(id); }));
}

// --- to the spool --------------------------------------------------------------------------------------

void BrokerTakeIn::Work::commit(const MessageId& id) {
    const Item& item = items_.at(id);
    const auto& content = item.handover.content;
    if (content.size() == 1) return hand_over(id);
    // Should this end in the middle, the chunks stay: the message may be in the spool already, from a time before. What
    // belongs to none is removed at the next start.
    auto appending = std::make_shared<Appending>(Appending{content.size() - 1, {}});
    for (std::uint32_t chunk = 0; chunk + 1 < content.size(); ++chunk) {
        ports_.handover.append_content(item.handover.message->id, chunk, content[chunk],
                                       {&ports_.on, guarded([id, appending](Work& self, Status status) {
                                            if (!status) appending->failed = std::move(status);
                                            if (--appending->left > 0) return;
                                            if (appending->failed) return self.hand_over(id);
                                            self.put_back(id, appending->failed.error());
                                        })});
    }
}

void BrokerTakeIn::Work::hand_over(const MessageId& id) {
    const Item& item = items_.at(id);
    AcceptedMessage accepted{item.handover.message, item.handover.tasks, item.handover.content.back(), id};
    Executor* const home = &ports_.on;
    Executor* const shard = ports_.shards[next_shard_++ % ports_.shards.size()];
    auto then = guarded([id](Work& self, Status status) {
        if (status) {
            self.taken_.add();
            return self.finish(id);
        }
        if (status.error().kind == ErrorKind::InvalidArgument) return self.wait_for_message(id);
        self.put_back(id, status.error());
    });
    if (shard == home) return ports_.handover.hand_over(std::move(accepted), {home, std::move(then)});
    ports_.handover.hand_over(
        std::move(accepted),
        {shard, [home, then = std::move(then)](Status status) mutable {
             home->post([then = std::move(then), status = std::move(status)]() mutable { then(std::move(status)); });
         }});
}

// Another part of its message is in the spool. It waits in the overflow queue, and is offered with every sweep.
void BrokerTakeIn::Work::wait_for_message(const MessageId& id) {
    const wire::Handover& handover = items_.at(id).handover;
    remember_places(handover);
    // Without what has gone into the overflow queue before.
    auto body = std::make_shared<const std::string>(wire::encode_handover(handover));
    overflow(id, std::move(body), id, guarded([id](Work& self) { self.finish(id); }));
}

// --- to the overflow queue -----------------------------------------------------------------------------

void BrokerTakeIn::Work::overflow(const MessageId& id, SharedOctets body, const MessageId& as,
                                  UniqueFunction<void()> then) {
    BrokerMessage message{
        .body = std::move(body), .content_type = std::string(wire::kHandoverContentType), .message_id = as.to_string()};
    if (sweep_.is_sweeping()) message.headers.emplace_back(kSweepHeader, sweep_.mark());
    ports_.publisher.publish({std::string(wire::kDeliverExchange), wire::overflow_queue(sender_)}, std::move(message),
                             {&ports_.on, guarded([id, then = std::move(then)](Work& self, Status status) mutable {
                                  if (!status) return self.put_back(id, status.error());
                                  self.overflowed_.add();
                                  then();
                              })});
}

// First what goes away, then what stays: the other way round a crash between them would lose it.
void BrokerTakeIn::Work::split(const MessageId& id, std::vector<Task> over) {
    const wire::Handover& whole = items_.at(id).handover;
    const MessageId as = id_of_part(id, over.front().key.number);
    const auto tasks = std::make_shared<std::vector<Task>>(over);
    auto body = std::make_shared<const std::string>(wire::encode_handover(
        {.id = as, .message = whole.message, .tasks = std::move(over), .content = whole.content}));
    ports_.publisher.publish({std::string(wire::kDeliverExchange), wire::overflow_queue(sender_)},
                             {.body = std::move(body),
                              .content_type = std::string(wire::kHandoverContentType),
                              .message_id = as.to_string()},
                             {&ports_.on, guarded([id, tasks](Work& self, Status status) {
                                  if (status) {
                                      self.overflowed_.add();
                                      return self.commit(id);
                                  }
                                  auto& kept = self.items_.at(id).handover.tasks;
                                  kept.insert(kept.end(), tasks->begin(), tasks->end());
                                  self.put_back(id, status.error());
                              })});
}

// --- the end of it -------------------------------------------------------------------------------------

void BrokerTakeIn::Work::finish(const MessageId& id) {
    const auto found = items_.find(id);
    count_done(found->second);
    for (const TakeInSource& source : found->second.sources) source.acknowledge();
    items_.erase(found);
    if (stopping_) return finish_stopping();
    close_overflow_when_done();
    work();
}

void BrokerTakeIn::Work::put_back(const MessageId& id, const Error& error) {
    Item& item = items_.at(id);
    count_done(item);
    if (stopping_) {
        items_.erase(id);
        return finish_stopping();
    }
    if (item.sources.empty()) {
        items_.erase(id);  // the broker gives it out again
    } else {
        item.lane = item.sources.front().lane;
        item.lane->waiting.push_front(id);
    }
    close_overflow_when_done();
    hold(error.text);
}

}  // namespace postfleet::sender
