// BrokerEventLog: the deliveries of one sink's queue as an EventLog with one reader.
//
//   delivery ──decode──▶ events, numbered as they come ──read()──▶ the sink ──advance(n)──▶ ack of what is below n
//
// The events of a batch are acknowledged when all of them were passed, so the broker gives out again what a crash, a lost
// connection or a failing sink leaves. Events keep the source and the sequence that their sender gave them.
//
// What it holds is bounded by its consumer (most_unsettled, most_octets): a sink that stands still takes no more from the
// broker. A batch that cannot be read goes to the dead-letter exchange; one of a newer version is held until the process
// ends, so that one that knows it gets it then. Its end ends the consumer: what is not settled is given out again.
//
// Threads: thread-safe; wait() blocks. The consumer's executor runs deliveries; it outlives the log. Errors: none.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "postfleet/base/log.hpp"
#include "postfleet/ports/broker.hpp"
#include "postfleet/ports/event_log.hpp"

namespace postfleet::event_queues {

struct BrokerEventLogOptions {
    std::string sink;  // name of the report sink
    std::uint32_t most_unsettled = 200;
    std::uint64_t most_octets = 16u << 20;
    Executor* on = nullptr;
    Log log{};
};

class BrokerEventLog final : public EventLog {
public:
    using MakeConsumer = std::function<std::unique_ptr<BrokerConsumer>(BrokerConsumerOptions)>;
    BrokerEventLog(const MakeConsumer& make, BrokerEventLogOptions options);
    ~BrokerEventLog() override;
    BrokerEventLog(const BrokerEventLog&) = delete;
    BrokerEventLog& operator=(const BrokerEventLog&) = delete;

    Result<std::uint64_t> open_cursor(const std::string& name) override;
    Status keep_only_cursors(const std::vector<std::string>& names) override;
    Result<std::vector<LoggedEvent>> read(std::uint64_t after, std::size_t max_events) override;
    void wait(std::uint64_t after, SteadyTime until) override;
    Status advance(const std::string& cursor, std::uint64_t number) override;
    std::uint64_t last_number() const override;
    std::uint64_t octets_after(std::uint64_t number) const override;
    void stop() override;

    std::string obstacle() const { return consumer_->obstacle(); }

private:
    struct Batch {
        std::uint64_t tag = 0, last = 0;  // number of its last event
        std::size_t octets = 0;
    };
    // What the consumer's callbacks share with the log, which may go before the last of them has run.
    struct State;

    const std::string sink_;
    std::shared_ptr<State> state_;
    std::unique_ptr<BrokerConsumer> consumer_;
};

}  // namespace postfleet::event_queues
