#include "postfleet/support/fake_broker.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::support {

namespace {

struct Stored {
    BrokerMessage message;
    BrokerAddress from;
    std::uint32_t count = 0;  // of deliveries that were not settled
    bool was_out = false;
};

struct Queue {
    FakeQueueOptions options;
    std::deque<Stored> waiting;
    std::size_t next_consumer = 0;
};

struct Unsettled {
    Stored stored;
    std::string queue;
};

struct Link {
    BrokerConsumerOptions options;
    std::uint64_t last_tag = 0;
    std::deque<std::uint64_t> coming;              // given out, but not to the consumer yet
    std::map<std::uint64_t, Unsettled> unsettled;  // these, too
    std::uint64_t octets = 0;
    bool is_paused = false, is_stopped = false;
};

using Words = std::vector<std::string_view>;

bool matches_topic(const Words& pattern, std::size_t p, const Words& key, std::size_t k) {
    if (p == pattern.size()) return k == key.size();
    if (pattern[p] == "#") {
        return matches_topic(pattern, p + 1, key, k) || (k < key.size() && matches_topic(pattern, p, key, k + 1));
    }
    return k < key.size() && (pattern[p] == "*" || pattern[p] == key[k]) && matches_topic(pattern, p + 1, key, k + 1);
}

void complete(Completion<Status> done, Status status) {
    done.on->post([run = std::move(done.run), status = std::move(status)]() mutable { run(std::move(status)); });
}

}  // namespace

struct FakeBroker::State : std::enable_shared_from_this<State> {
    struct Binding {
        std::string exchange, key, queue;
    };
    struct HeldConfirm {
        const void* publisher;
        Completion<Status> done;
    };

    mutable std::mutex mutex;
    std::map<std::string, Queue> queues;
    std::vector<Binding> bindings;
    std::vector<std::shared_ptr<Link>> links;
    std::deque<HeldConfirm> held;
    std::vector<BrokerDelivery> published;
    Confirms confirms = Confirms::AtOnce;
    std::string away;  // why; empty: there

    std::vector<Queue*> route(const BrokerAddress& to) {
        std::vector<Queue*> out;
        if (to.exchange.empty()) {
            if (const auto found = queues.find(to.routing_key); found != queues.end()) out.push_back(&found->second);
            return out;
        }
        const auto key = split(to.routing_key, '.');
        for (const Binding& binding : bindings) {
            const auto found = queues.find(binding.queue);
            if (binding.exchange != to.exchange || found == queues.end()) continue;
            if (!matches_topic(split(binding.key, '.'), 0, key, 0)) continue;
            if (std::find(out.begin(), out.end(), &found->second) == out.end()) out.push_back(&found->second);
        }
        return out;
    }

    Status put(const BrokerAddress& to, BrokerMessage message) {
        const auto targets = route(to);
        if (targets.empty()) return Error{ErrorKind::NotFound, "no queue is bound to " + to.routing_key};
        for (const Queue* queue : targets) {
            std::uint64_t octets = 0;
            for (const Stored& stored : queue->waiting) octets += stored.message.body->size();
            if (octets >= queue->options.most_octets) {
                return Error{ErrorKind::Unavailable, "the queue is full"};
            }
        }
        for (Queue* queue : targets) queue->waiting.push_back({message, to});
        pump();
        return {};
    }

    void pump() {
        for (auto& [name, queue] : queues) {
            while (away.empty() && !queue.waiting.empty() && give_out(name, queue)) {
            }
        }
    }

    // To the next consumer in turn that has room.
    bool give_out(const std::string& name, Queue& queue) {
        for (std::size_t tried = 0; tried < links.size(); ++tried) {
            const auto link = links[queue.next_consumer++ % links.size()];
            if (link->options.queue != name || link->is_paused || link->is_stopped) continue;
            if (link->unsettled.size() >= link->options.most_unsettled) continue;
            if (!link->unsettled.empty() && link->octets >= link->options.most_octets) continue;
            Stored stored = std::move(queue.waiting.front());
            queue.waiting.pop_front();
            link->octets += stored.message.body->size();
            const std::uint64_t tag = ++link->last_tag;
            link->unsettled.emplace(tag, Unsettled{std::move(stored), name});
            link->coming.push_back(tag);
            link->options.on->post([state = shared_from_this(), link] { state->hand_over(*link); });
            return true;
        }
        return false;
    }

    // On the consumer's executor; one post for each delivery, which may have been given back since.
    void hand_over(Link& link) {
        BrokerDelivery delivery;
        {
            const std::lock_guard lock(mutex);
            if (link.coming.empty()) return;
            delivery.tag = link.coming.front();
            link.coming.pop_front();
            const Stored& stored = link.unsettled.at(delivery.tag).stored;
            delivery.message = stored.message;
            delivery.from = stored.from;
            delivery.delivery_count = stored.count;
            delivery.is_redelivered = stored.was_out;
        }
        link.options.deliver(std::move(delivery));
    }

    bool is_stopped(const Link& link) {
        const std::lock_guard lock(mutex);
        return link.is_stopped;
    }

    void dead_letter(const Unsettled& dead, const char* reason) {
        const auto queue = queues.find(dead.queue);
        if (queue == queues.end() || queue->second.options.dead_letter_exchange.empty()) return;
        const auto& options = queue->second.options;
        BrokerMessage message = dead.stored.message;
        message.headers.emplace_back("x-first-death-reason", reason);
        message.headers.emplace_back("x-first-death-queue", dead.queue);
        const auto& key = options.dead_letter_key.empty() ? dead.stored.from.routing_key : options.dead_letter_key;
        if (const auto kept = put({options.dead_letter_exchange, key}, std::move(message)); !kept) return;
    }

    // To the front of its queue; `counts`: as a delivery that was not settled.
    void give_back(Unsettled back, bool counts) {
        const auto queue = queues.find(back.queue);
        if (queue == queues.end()) return;
        if (counts) {
            back.stored.was_out = true;
            if (++back.stored.count > queue->second.options.delivery_limit) return dead_letter(back, "delivery_limit");
        }
        queue->second.waiting.push_front(std::move(back.stored));
    }

    void give_back_coming(Link& link) {
        for (; !link.coming.empty(); link.coming.pop_back()) {
            auto node = link.unsettled.extract(link.coming.back());
            link.octets -= node.mapped().stored.message.body->size();
            give_back(std::move(node.mapped()), false);
        }
    }

    void give_back_all(Link& link) {
        give_back_coming(link);
        while (!link.unsettled.empty()) {
            auto node = link.unsettled.extract(std::prev(link.unsettled.end()));
            give_back(std::move(node.mapped()), true);
        }
        link.octets = 0;
    }

    void lose() {
        for (const auto& link : links) {
            give_back_all(*link);
            if (link->is_stopped || !link->options.lost) continue;
            link->options.on->post([state = shared_from_this(), link] {
                if (!state->is_stopped(*link)) link->options.lost();
            });
        }
        for (HeldConfirm& confirm : std::exchange(held, {})) {
            complete(std::move(confirm.done), Error{ErrorKind::DeadlineExceeded, "the connection was lost"});
        }
    }
};

class FakeBroker::Publisher final : public BrokerPublisher {
public:
    Publisher(std::shared_ptr<State> state, std::uint32_t most) : state_(std::move(state)), most_(most) {}

    void publish(BrokerAddress to, BrokerMessage message, Completion<Status> done) override {
        const std::lock_guard lock(state_->mutex);
        if (message.message_id.empty()) {
            return complete(std::move(done), Error{ErrorKind::InvalidArgument, "it has no message id"});
        }
        if (!state_->away.empty()) return complete(std::move(done), Error{ErrorKind::Unavailable, state_->away});
        const auto mine = std::count_if(state_->held.begin(), state_->held.end(),
                                        [&](const auto& confirm) { return confirm.publisher == this; });
        if (static_cast<std::uint64_t>(mine) >= most_) {
            return complete(std::move(done), Error{ErrorKind::ResourceExhausted, "too much waits for confirms"});
        }
        state_->published.push_back({.message = message, .from = to});
        if (state_->confirms == Confirms::Refused) {
            return complete(std::move(done), Error{ErrorKind::Unavailable, "the broker refused it"});
        }
        Status put = state_->put(to, std::move(message));
        if (put && state_->confirms == Confirms::Hold) return state_->held.push_back({this, std::move(done)});
        if (put && state_->confirms == Confirms::Lost) put = Error{ErrorKind::DeadlineExceeded, "no confirm came"};
        complete(std::move(done), std::move(put));
    }

    std::string obstacle() const override {
        const std::lock_guard lock(state_->mutex);
        return state_->away;
    }

private:
    const std::shared_ptr<State> state_;
    const std::uint32_t most_;
};

class FakeBroker::Consumer final : public BrokerConsumer {
public:
    Consumer(std::shared_ptr<State> state, BrokerConsumerOptions options)
        : state_(std::move(state)), link_(std::make_shared<Link>()) {
        link_->options = std::move(options);
        const std::lock_guard lock(state_->mutex);
        state_->links.push_back(link_);
        state_->pump();
    }
    ~Consumer() override {
        const std::lock_guard lock(state_->mutex);
        leave();
    }

    void settle(std::uint64_t tag, BrokerVerdict verdict) override {
        const std::lock_guard lock(state_->mutex);
        auto node = link_->unsettled.extract(tag);
        if (node.empty()) return;
        link_->octets -= node.mapped().stored.message.body->size();
        switch (verdict) {
            case BrokerVerdict::Ack: break;
            case BrokerVerdict::Requeue: state_->give_back(std::move(node.mapped()), true); break;
            case BrokerVerdict::Reject: state_->dead_letter(node.mapped(), "rejected"); break;
        }
        state_->pump();
    }

    void pause() override {
        const std::lock_guard lock(state_->mutex);
        link_->is_paused = true;
    }

    void resume() override {
        const std::lock_guard lock(state_->mutex);
        link_->is_paused = false;
        state_->pump();
    }

    void stop(Completion<Status> done) override {
        const std::lock_guard lock(state_->mutex);
        leave();
        complete(std::move(done), {});
    }

    std::string obstacle() const override {
        const std::lock_guard lock(state_->mutex);
        if (!state_->away.empty()) return state_->away;
        return state_->queues.contains(link_->options.queue) ? "" : "there is no queue " + link_->options.queue;
    }

private:
    void leave() {
        link_->is_stopped = true;
        state_->give_back_all(*link_);
        std::erase(state_->links, link_);
        state_->pump();
    }

    const std::shared_ptr<State> state_;
    const std::shared_ptr<Link> link_;  // shared with deliveries that are posted
};

FakeBroker::FakeBroker() : state_(std::make_shared<State>()) {}
FakeBroker::~FakeBroker() = default;

void FakeBroker::declare_queue(const std::string& name, FakeQueueOptions options) {
    const std::lock_guard lock(state_->mutex);
    state_->queues[name].options = std::move(options);
}

void FakeBroker::remove_queue(const std::string& name) {
    const std::lock_guard lock(state_->mutex);
    state_->queues.erase(name);
}

void FakeBroker::bind(const std::string& exchange, const std::string& key, const std::string& queue) {
    const std::lock_guard lock(state_->mutex);
    state_->bindings.push_back({exchange, key, queue});
}

std::unique_ptr<BrokerPublisher> FakeBroker::publisher(std::uint32_t most_unconfirmed) {
    return std::make_unique<Publisher>(state_, most_unconfirmed);
}

std::unique_ptr<BrokerConsumer> FakeBroker::consumer(BrokerConsumerOptions options) {
    return std::make_unique<Consumer>(state_, std::move(options));
}

void FakeBroker::arrive(const BrokerAddress& to, BrokerMessage message) {
    const std::lock_guard lock(state_->mutex);
    require(state_->put(to, std::move(message)).has_value());
}

void FakeBroker::set_confirms(Confirms how) {
    const std::lock_guard lock(state_->mutex);
    state_->confirms = how;
}

void FakeBroker::release_confirms() {
    const std::lock_guard lock(state_->mutex);
    for (auto& confirm : std::exchange(state_->held, {})) complete(std::move(confirm.done), {});
}

std::size_t FakeBroker::held_confirms() const {
    const std::lock_guard lock(state_->mutex);
    return state_->held.size();
}

void FakeBroker::lose_connections() {
    const std::lock_guard lock(state_->mutex);
    state_->lose();
    state_->pump();
}

void FakeBroker::go_away(const std::string& why) {
    const std::lock_guard lock(state_->mutex);
    state_->away = why;
    state_->lose();
}

void FakeBroker::come_back() {
    const std::lock_guard lock(state_->mutex);
    state_->away.clear();
    state_->pump();
}

std::vector<BrokerMessage> FakeBroker::waiting(const std::string& queue) const {
    const std::lock_guard lock(state_->mutex);
    std::vector<BrokerMessage> out;
    const auto found = state_->queues.find(queue);
    if (found == state_->queues.end()) return out;
    for (const Stored& stored : found->second.waiting) out.push_back(stored.message);
    return out;
}

std::size_t FakeBroker::unsettled(const std::string& queue) const {
    const std::lock_guard lock(state_->mutex);
    std::size_t count = 0;
    for (const auto& link : state_->links) count += link->options.queue == queue ? link->unsettled.size() : 0;
    return count;
}

std::vector<BrokerDelivery> FakeBroker::published() const {
    const std::lock_guard lock(state_->mutex);
    return state_->published;
}

}  // namespace postfleet::support
