#include "consumer.hpp"

#include <algorithm>

#include "values.hpp"

namespace postfleet::amqp {

namespace {

constexpr unsigned kNumberBits = 40;
constexpr std::uint64_t kNumberMask = (1ull << kNumberBits) - 1;
constexpr std::uint32_t kMostPrefetch = 50'000;  // the protocol has 65,535; no rate needs more than 2,000 (RMQ-16)

}  // namespace

Consumer::Consumer(const WorkerParts& parts, BrokerConsumerOptions options, ConsumerCounters counters)
    : Worker(parts, "consumer of " + options.queue),
      queue_(options.queue),
      tag_prefix_(options.name.empty() ? "postfleet" : options.name),
      most_unsettled_(std::clamp(options.most_unsettled, 1u, kMostPrefetch)),
      most_octets_(options.most_octets),
      acks_at_once_(std::max(1u, most_unsettled_ / 10)),
      counters_(counters),
      outlet_(std::make_shared<Outlet>()),
      quiet_(parts.options.stuck_after) {
    outlet_->on = options.on;
    outlet_->deliver = std::move(options.deliver);
    outlet_->lost = std::move(options.lost);
    start();
}

Consumer::~Consumer() {
    Worker::stop();
    outlet_->is_closed.store(true);
}

std::string Consumer::obstacle() const { return Worker::obstacle(); }

void Consumer::settle(std::uint64_t tag, BrokerVerdict verdict) {
    bool wakes = false;
    {
        const std::lock_guard lock(mutex_);
        if (settled_.empty()) first_settled_at_ = steady_clock_now();
        settled_.push_back({tag, verdict});
        // The thread is told that there is something, and then that it is much; not of each.
        wakes = settled_.size() == 1 || settled_.size() == acks_at_once_;
    }
    if (wakes) wake();
}

void Consumer::pause() {
    {
        const std::lock_guard lock(mutex_);
        wants_messages_ = false;
    }
    wake();
}

void Consumer::resume() {
    {
        const std::lock_guard lock(mutex_);
        wants_messages_ = true;
    }
    wake();
}

void Consumer::stop(Completion<Status> done) {
    bool has_ended = false;
    {
        const std::lock_guard lock(mutex_);
        stopped_.push_back(std::move(done));
        has_ended = has_ended_;
    }
    request_stop();
    if (has_ended) on_ended();
}

// The thread's last turn has acknowledged what was settled; completions go behind all deliveries that were posted.
void Consumer::on_ended() {
    std::vector<Completion<Status>> stopped;
    {
        const std::lock_guard lock(mutex_);
        has_ended_ = true;
        stopped.swap(stopped_);
    }
    if (stopped.empty()) return;
    outlet_->on->post([outlet = outlet_, stopped = std::move(stopped)]() mutable {
        outlet->is_closed.store(true);
        for (auto& done : stopped) run_one(std::move(done), {});
    });
}

Status Consumer::on_connected(Connection& connection) {
    ++generation_;
    content_.clear();
    batch_.clear();
    is_consuming_ = false;
    if (auto set = connection.set_prefetch(static_cast<std::uint16_t>(most_unsettled_)); !set) return set;
    return {};
}

bool Consumer::wants_to_read() const { return batch_.open_octets() < most_octets_ || content_.is_expected(); }

Status Consumer::consume(Connection& connection) {
    consumer_tag_ = tag_prefix_ + "-" + std::to_string(generation_);
    amqp_basic_consume_t consume{};
    consume.queue = to_bytes(queue_);
    consume.consumer_tag = to_bytes(consumer_tag_);
    is_consuming_ = true;
    return connection.send(AMQP_BASIC_CONSUME_METHOD, &consume);
}

Status Consumer::cancel(Connection& connection) {
    amqp_basic_cancel_t cancel{};
    cancel.consumer_tag = to_bytes(consumer_tag_);
    is_consuming_ = false;
    return connection.send(AMQP_BASIC_CANCEL_METHOD, &cancel);
}

Status Consumer::on_frame(Connection&, const amqp_frame_t& frame) {
    if (frame.frame_type == AMQP_FRAME_METHOD) {
        if (content_.is_expected()) return Error{ErrorKind::Corruption, "the broker sent a message in pieces"};
        const auto& method = frame.payload.method;
        if (method.id == AMQP_BASIC_CANCEL_METHOD) {
            return Error{ErrorKind::Unavailable,
                         "the broker ended the consumer: queue " + queue_ + " is gone or moves"};
        }
        if (method.id == AMQP_BASIC_DELIVER_METHOD) {
            content_.begin(*static_cast<const amqp_basic_deliver_t*>(method.decoded));
        }
        return {};
    }
    const auto added = content_.add(frame);
    if (!added) return added.error();
    if (!*added) return {};
    BrokerDelivery delivery = content_.take();
    if (!batch_.delivered(delivery.tag, delivery.message.body->size())) {
        return Error{ErrorKind::Corruption, "the broker counts deliveries otherwise than we do"};
    }
    has_heard_ = true;
    counters_.delivered.add();
    if (delivery.is_redelivered) counters_.redelivered.add();
    delivery.tag |= generation_ << kNumberBits;
    arrived_.push_back(std::move(delivery));
    return {};
}

void Consumer::hand_out() {
    if (arrived_.empty()) return;
    outlet_->on->post([outlet = outlet_, arrived = std::exchange(arrived_, {})]() mutable {
        for (BrokerDelivery& delivery : arrived) {
            if (!outlet->is_closed.load(std::memory_order_relaxed)) outlet->deliver(std::move(delivery));
        }
    });
}

Status Consumer::on_turn(Connection& connection, SteadyTime now) {
    hand_out();
    if (auto said = acknowledge(connection, now); !said) return said;
    bool wants = false;
    {
        const std::lock_guard lock(mutex_);
        wants = wants_messages_;
    }
    if (wants == is_consuming_) return look_whether_stuck(connection, now);
    quiet_.reset(now);
    return wants ? consume(connection) : cancel(connection);
}

// A broker may live, and answer, and give out nothing: to a consumer that it has lost, or from a queue that has a new
// leader. With half of its room taken the consumer might be waited for.
Status Consumer::look_whether_stuck(Connection& connection, SteadyTime now) {
    const bool has_room = batch_.open() <= most_unsettled_ / 2 && batch_.open_octets() <= most_octets_ / 2;
    if (!is_consuming_ || !has_room || std::exchange(has_heard_, false)) {
        quiet_.reset(now);
        return {};
    }
    if (!quiet_.is_time_to_ask(now)) return {};
    const auto waiting = connection.waiting_in(queue_);
    if (!waiting) return waiting.error();
    if (!quiet_.on_answer(*waiting, now)) return {};
    counters_.stuck.add();
    return Error{ErrorKind::Unavailable,
                 "the broker gives out nothing, and " + std::to_string(*waiting) + " messages wait in queue " + queue_};
}

Status Consumer::acknowledge(Connection& connection, SteadyTime now) {
    {
        const std::lock_guard lock(mutex_);
        if (settled_.empty()) return {};
        const bool is_time = settled_.size() >= acks_at_once_ || now - first_settled_at_ >= kAckAfter || is_stopping();
        if (!is_time) return {};
        taken_.swap(settled_);
    }
    for (const Settled& settled : taken_) {
        if (settled.tag >> kNumberBits == generation_) batch_.settle(settled.tag & kNumberMask, settled.verdict);
    }
    taken_.clear();
    batch_.take(settlements_);
    Status status;
    const bool is_batch = settlements_.size() > 1;
    if (is_batch) connection.cork();
    for (const Settlement& settlement : settlements_) {
        if (status) status = say(connection, settlement);
    }
    if (is_batch) connection.uncork();
    settlements_.clear();
    return status;
}

Status Consumer::say(Connection& connection, const Settlement& settlement) {
    switch (settlement.verdict) {
        case BrokerVerdict::Ack: {
            amqp_basic_ack_t ack{settlement.number, settlement.multiple ? 1 : 0};
            counters_.acknowledged.add();
            return connection.send(AMQP_BASIC_ACK_METHOD, &ack);
        }
        case BrokerVerdict::Requeue: {
            amqp_basic_nack_t nack{settlement.number, 0, 1};
            counters_.requeued.add();
            return connection.send(AMQP_BASIC_NACK_METHOD, &nack);
        }
        case BrokerVerdict::Reject: {
            amqp_basic_reject_t reject{settlement.number, 0};
            counters_.rejected.add();
            return connection.send(AMQP_BASIC_REJECT_METHOD, &reject);
        }
    }
    return {};
}

void Consumer::on_lost(const std::string&) {
    hand_out();
    if (batch_.open() > 0 && outlet_->lost && !is_stopping()) {
        outlet_->on->post([outlet = outlet_] {
            if (!outlet->is_closed.load()) outlet->lost();
        });
    }
    batch_.clear();
    is_consuming_ = false;
    const std::lock_guard lock(mutex_);
    settled_.clear();  // of a connection that is gone: the broker gives it out again
}

SteadyTime Consumer::next_wake() {
    const SteadyTime quiet = is_consuming_ ? quiet_.due() : SteadyTime::max();
    const std::lock_guard lock(mutex_);
    return settled_.empty() ? quiet : std::min(quiet, first_settled_at_ + kAckAfter);
}

}  // namespace postfleet::amqp
