// TakeInWorld: a take-in between a broker in memory and a spool that does what the test says.
#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "postfleet/sender_edge/broker_take_in.hpp"
#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/fake_handover.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/support/spool_samples.hpp"
#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::support {

using sender::BrokerTakeIn;
using sender::BrokerTakeInPorts;
using sender::Sender;
using Numbers = std::vector<std::uint64_t>;

inline const std::string kDeliver = wire::deliver_queue("s0"), kHigh = wire::deliver_high_queue("s0"),
                         kOverflow = wire::overflow_queue("s0");

inline wire::Handover sample_handover(std::uint64_t n, const std::string& domain = "example.org",
                                      std::size_t octets = 2000) {
    auto message = sample_message(n);
    message->merge = {};
    message->size_octets = octets;
    message->content_chunks =
        static_cast<std::uint32_t>(std::max<std::size_t>(1, (octets + kContentChunkOctets - 1) / kContentChunkOctets));
    wire::Handover handover{.id = message->id, .message = message, .tasks = {sample_task(n)}};
    handover.tasks[0].domain = domain;
    for (std::size_t at = 0; handover.content.size() < message->content_chunks; at += kContentChunkOctets) {
        handover.content.push_back(sample_content(n, std::min(octets - at, kContentChunkOctets)));
    }
    return handover;
}

inline void declare_queues(FakeBroker& broker) {
    for (const std::string& queue : {kDeliver, kHigh, kOverflow}) {
        broker.declare_queue(queue);
        broker.bind(std::string(wire::kDeliverExchange), queue, queue);
    }
    broker.declare_queue(std::string(wire::kRejectedQueue));
    broker.bind(std::string(wire::kRejectedExchange), "#", std::string(wire::kRejectedQueue));
}

struct TakeInWorld {
    explicit TakeInWorld(config::TakeIn with = {}) : settings(with) { declare_queues(broker); }
    ~TakeInWorld() { take_in.reset(); }

    void start() {
        take_in = std::make_unique<BrokerTakeIn>(
            BrokerTakeInPorts{
                .on = executor,
                .shards = {&executor},
                .consume = consume,
                .publisher = *publisher,
                .handover = handover,
                .was_taken =
                    [this](MessageId id, Completion<Result<bool>> done) {
                        const bool is_known = remembered.contains(id);
                        done.on->post([run = std::move(done.run), is_known]() mutable { run(is_known); });
                    },
                .backlog = [this] { return backlog; },
                .queued_for = [this](std::string_view domain, std::string_view) { return queued[std::string(domain)]; },
                .metrics = metrics,
                .log = Log()},
            "s0", settings);
        take_in->start();
        executor.run_until_idle();
    }
    void publish(const std::string& queue, const wire::Handover& given) {
        publish(queue, wire::encode_handover(given));
    }
    void publish(const std::string& queue, std::string body) {
        const auto from = broker.publisher();
        from->publish({std::string(wire::kDeliverExchange), queue},
                      {.body = std::make_shared<const std::string>(std::move(body)),
                       .content_type = std::string(wire::kHandoverContentType),
                       .message_id = "m" + std::to_string(++published)},
                      {&executor, [](const Status& status) { REQUIRE(status); }});
        executor.run_until_idle();
    }
    std::size_t left(const std::string& queue) const { return broker.waiting(queue).size() + broker.unsettled(queue); }
    // What the spool got, by the first octets of the ids, in order.
    std::vector<std::uint64_t> taken() const {
        std::vector<std::uint64_t> numbers;
        for (const AcceptedMessage& accepted : handover.accepted) {
            std::uint64_t n = 0;
            for (std::size_t i = 0; i < 8; ++i) n = n << 8 | accepted.message->id.octets[i];
            numbers.push_back(n);
        }
        return numbers;
    }

    std::function<std::unique_ptr<BrokerConsumer>(BrokerConsumerOptions)> consume =
        [this](BrokerConsumerOptions options) { return broker.consumer(std::move(options)); };
    config::TakeIn settings;
    std::uint64_t published = 0;
    ManualExecutor executor;
    FakeBroker broker;
    std::unique_ptr<BrokerPublisher> publisher = broker.publisher();
    FakeHandover handover;
    std::set<MessageId> remembered;  // that the spool has taken before
    Sender::Backlog backlog;
    std::map<std::string, std::uint64_t> queued;
    Metrics metrics;
    std::unique_ptr<BrokerTakeIn> take_in;
};

}  // namespace postfleet::support
