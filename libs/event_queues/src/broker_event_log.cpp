#include "postfleet/event_queues/broker_event_log.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "postfleet/wire/events.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::event_queues {

struct BrokerEventLog::State {
    explicit State(Log its_log) : log(its_log) {}

    Log log;
    mutable std::mutex mutex;
    std::condition_variable arrived;
    BrokerConsumer* consumer = nullptr;                           // null before it is made and after its end
    std::vector<std::pair<std::uint64_t, BrokerVerdict>> unsaid;  // verdicts of before it was made
    std::deque<LoggedEvent> events;                               // numbers without gaps inside a connection
    std::deque<Batch> batches;                                    // not settled, in the order of their events
    std::uint64_t last = 0;                                       // number given last
    std::uint64_t passed = 0;                                     // what the sink has
    bool stopped = false;

    void settle(std::uint64_t tag, BrokerVerdict verdict) {
        if (consumer != nullptr) consumer->settle(tag, verdict);
        else unsaid.emplace_back(tag, verdict);
    }
    void take(BrokerDelivery&& delivery);
    void forget();
};

// On the consumer's executor.
void BrokerEventLog::State::take(BrokerDelivery&& delivery) {
    Result<wire::EventBatch> batch = wire::decode_events(*delivery.message.body);
    const std::lock_guard lock(mutex);
    if (!batch) {
        const bool is_newer = batch.error().kind == ErrorKind::Unavailable;
        log.line(LogLevel::Error, "report-batch-unreadable")
            .field("id", delivery.message.message_id)
            .field("error", batch.error().text)
            .field("then", is_newer ? "kept for a process of that version" : "put aside in the dead-letter queue");
        if (!is_newer) settle(delivery.tag, BrokerVerdict::Reject);
        return;
    }
    if (batch->events.empty()) return settle(delivery.tag, BrokerVerdict::Ack);
    const auto source = std::make_shared<const std::string>(std::move(batch->source));
    for (wire::SequencedEvent& one : batch->events) {
        events.push_back({++last, std::move(one.event), source, one.sequence});
    }
    batches.push_back({delivery.tag, last, delivery.message.body->size()});
    arrived.notify_all();
}

// The broker gives out again what was not settled: whatever nobody has read yet is not read now.
void BrokerEventLog::State::forget() {
    const std::lock_guard lock(mutex);
    batches.clear();
    events.clear();
}

BrokerEventLog::BrokerEventLog(const MakeConsumer& make, BrokerEventLogOptions options)
    : sink_(options.sink), state_(std::make_shared<State>(options.log)) {
    BrokerConsumerOptions consumer;
    consumer.queue = wire::sink_queue(sink_);
    consumer.name = "feedback-" + sink_;
    consumer.most_unsettled = options.most_unsettled;
    consumer.most_octets = options.most_octets;
    consumer.on = options.on;
    consumer.deliver = [state = state_](BrokerDelivery&& delivery) { state->take(std::move(delivery)); };
    consumer.lost = [state = state_] { state->forget(); };
    consumer_ = make(std::move(consumer));
    const std::lock_guard lock(state_->mutex);
    state_->consumer = consumer_.get();
    for (const auto& [tag, verdict] : std::exchange(state_->unsaid, {})) consumer_->settle(tag, verdict);
}

BrokerEventLog::~BrokerEventLog() {
    const std::lock_guard lock(state_->mutex);
    state_->consumer = nullptr;
}

Result<std::uint64_t> BrokerEventLog::open_cursor(const std::string&) {
    const std::lock_guard lock(state_->mutex);
    return state_->passed;
}

Status BrokerEventLog::keep_only_cursors(const std::vector<std::string>&) { return {}; }

Result<std::vector<LoggedEvent>> BrokerEventLog::read(std::uint64_t after, std::size_t max_events) {
    const std::lock_guard lock(state_->mutex);
    const auto first =
        std::upper_bound(state_->events.begin(), state_->events.end(), after,
                         [](std::uint64_t number, const LoggedEvent& event) { return number < event.number; });
    const auto count = std::min<std::size_t>(max_events, static_cast<std::size_t>(state_->events.end() - first));
    return std::vector<LoggedEvent>(first, first + static_cast<std::ptrdiff_t>(count));
}

void BrokerEventLog::wait(std::uint64_t after, SteadyTime until) {
    std::unique_lock lock(state_->mutex);
    state_->arrived.wait_until(lock, until, [&] {
        return state_->stopped || (!state_->events.empty() && state_->events.back().number > after);
    });
}

Status BrokerEventLog::advance(const std::string&, std::uint64_t number) {
    const std::lock_guard lock(state_->mutex);
    state_->passed = std::max(state_->passed, number);
    while (!state_->events.empty() && state_->events.front().number <= number) state_->events.pop_front();
    while (!state_->batches.empty() && state_->batches.front().last <= number) {
        state_->settle(state_->batches.front().tag, BrokerVerdict::Ack);
        state_->batches.pop_front();
    }
    return {};
}

std::uint64_t BrokerEventLog::last_number() const {
    const std::lock_guard lock(state_->mutex);
    return state_->events.empty() ? state_->passed : state_->events.back().number;
}

std::uint64_t BrokerEventLog::octets_after(std::uint64_t number) const {
    const std::lock_guard lock(state_->mutex);
    std::uint64_t octets = 0;
    for (const Batch& batch : state_->batches) octets += batch.last > number ? batch.octets : 0;
    return octets;
}

void BrokerEventLog::stop() {
    const std::lock_guard lock(state_->mutex);
    state_->stopped = true;
    state_->arrived.notify_all();
}

}  // namespace postfleet::event_queues
