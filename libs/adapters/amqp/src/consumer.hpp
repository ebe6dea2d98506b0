// Consumer: BrokerConsumer over one connection (RMQ-16 … RMQ-18).
//
// The broker sends up to `most_unsettled` messages by itself. When `most_octets` of them are here, nothing more is read
// from the socket until some are settled; the broker notices by TCP. Settled deliveries are acknowledged in batches:
// when a tenth of `most_unsettled` is there, or kAckAfter after the first. A consumer that has room and hears nothing
// looks whether the broker has forgotten it (RMQ-21).
//
// A tag is the connection's number and the broker's delivery tag, so that what was settled too late is known.
//
// Threads: all but the on_… members thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "ack_batch.hpp"
#include "completions.hpp"
#include "content.hpp"
#include "quiet_watch.hpp"
#include "worker.hpp"

namespace postfleet::amqp {

struct ConsumerCounters {
    Counter &delivered, &redelivered, &acknowledged, &requeued, &rejected, &stuck;
};

class Consumer final : public BrokerConsumer, private Worker {
public:
    static constexpr Duration kAckAfter = std::chrono::milliseconds(10);

    Consumer(const WorkerParts& parts, BrokerConsumerOptions options, ConsumerCounters counters);
    ~Consumer() override;

    void settle(std::uint64_t tag, BrokerVerdict verdict) override;
    void pause() override;
    void resume() override;
    void stop(Completion<Status> done) override;
    std::string obstacle() const override;

private:
    // What posted deliveries need; shared with them, because they may run after the consumer has gone.
    struct Outlet {
        Executor* on;
        UniqueFunction<void(BrokerDelivery&&)> deliver;
        Callback lost;  // may be empty
        std::atomic<bool> is_closed{false};
    };
    struct Settled {
        std::uint64_t tag;
        BrokerVerdict verdict;
    };

    Status on_connected(Connection& connection) override;
    Status on_frame(Connection& connection, const amqp_frame_t& frame) override;
    Status on_turn(Connection& connection, SteadyTime now) override;
    void on_blocked(const std::string&) override {}  // of publishing connections only
    void on_lost(const std::string& why) override;
    void on_ended() override;
    SteadyTime next_wake() override;
    bool wants_to_read() const override;

    Status consume(Connection& connection);
    Status cancel(Connection& connection);
    Status acknowledge(Connection& connection, SteadyTime now);
    Status say(Connection& connection, const Settlement& settlement);
    Status look_whether_stuck(Connection& connection, SteadyTime now);
    void hand_out();

    const std::string queue_, tag_prefix_;
    const std::uint32_t most_unsettled_;
    const std::uint64_t most_octets_;
    const std::size_t acks_at_once_;
    ConsumerCounters counters_;
    const std::shared_ptr<Outlet> outlet_;

    std::mutex mutex_;
    std::vector<Settled> settled_;  // and the next, under the mutex
    SteadyTime first_settled_at_{};
    bool wants_messages_ = true;
    std::vector<Completion<Status>> stopped_;
    bool has_ended_ = false;

    // The thread's.
    AckBatch batch_;
    Content content_;
    std::vector<BrokerDelivery> arrived_;
    std::vector<Settled> taken_;
    std::vector<Settlement> settlements_;
    std::string consumer_tag_;
    std::uint64_t generation_ = 0;
    bool is_consuming_ = false;  // as we have told the broker
    QuietWatch quiet_;
    bool has_heard_ = false;  // since the last turn
};

}  // namespace postfleet::amqp
