// FakeBroker: BrokerPublisher and BrokerConsumer over queues in memory, which fail as a test says.
//
// Publishers and consumers may outlive it. What a real broker does by itself happens here at once or with the next turn
// of the executor named; nothing waits for time. A confirm is
//
//   AtOnce   posted with the publish (default)
//   Hold     posted by release_confirms(); a connection that is lost before makes it DeadlineExceeded
//   Lost     the message is queued, and its publisher is told DeadlineExceeded
//   Refused  the message is not queued: Unavailable, as after a nack
//
// Threads: thread-safe. Errors: as the port says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/ports/broker.hpp"

namespace postfleet::support {

struct FakeQueueOptions {
    std::uint64_t most_octets = UINT64_MAX;     // waiting; then it refuses
    std::uint32_t delivery_limit = UINT32_MAX;  // a message that comes back more often is dead-lettered
    // Where what is rejected goes, with x-first-death-reason and x-first-death-queue; none: away.
    std::string dead_letter_exchange{}, dead_letter_key{};
};

class FakeBroker {
public:
    enum class Confirms { AtOnce, Hold, Lost, Refused };

    FakeBroker();
    ~FakeBroker();

    void declare_queue(const std::string& name, FakeQueueOptions options = {});
    void remove_queue(const std::string& name);
    // `key`: as a topic, "*" for a word, "#" for any number of them.
    void bind(const std::string& exchange, const std::string& key, const std::string& queue);

    std::unique_ptr<BrokerPublisher> publisher(std::uint32_t most_unconfirmed = UINT32_MAX);
    std::unique_ptr<BrokerConsumer> consumer(BrokerConsumerOptions options);

    // Published by a program that is none of ours, which may leave out what ours have to give.
    void arrive(const BrokerAddress& to, BrokerMessage message);

    void set_confirms(Confirms how);
    void release_confirms();
    std::size_t held_confirms() const;
    // Everybody's connection is lost, and there again: what was not settled is given out again.
    void lose_connections();
    // Lost, and not there before come_back().
    void go_away(const std::string& why);
    void come_back();

    std::vector<BrokerMessage> waiting(const std::string& queue) const;  // not given out
    std::size_t unsettled(const std::string& queue) const;
    std::vector<BrokerDelivery> published() const;  // with `from`, in their order, whatever became of them

private:
    struct State;
    class Publisher;
    class Consumer;
    std::shared_ptr<State> state_;  // shared with publishers and consumers, which may live longer
};

}  // namespace postfleet::support
