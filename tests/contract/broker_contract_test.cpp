#include "broker_contract.hpp"

#include <catch2/catch.hpp>

#include "postfleet/support/fake_broker.hpp"

namespace postfleet::contract {

namespace {

class FakeUnderTest final : public BrokerUnderTest {
public:
    std::string unique(const std::string& name) override { return name; }
    void declare(const wire::BrokerTopology& topology) override {
        for (const auto& queue : topology.queues) {
            fake_.declare_queue(queue.name, {.most_octets = queue.most_octets,
                                             .delivery_limit = queue.delivery_limit,
                                             .dead_letter_exchange = queue.dead_letter_exchange});
        }
        for (const auto& binding : topology.bindings) {
            fake_.bind(binding.exchange, binding.routing_key.empty() ? "#" : binding.routing_key, binding.queue);
        }
    }
    std::unique_ptr<BrokerPublisher> publisher() override { return fake_.publisher(); }
    std::unique_ptr<BrokerConsumer> consumer(BrokerConsumerOptions options) override {
        return fake_.consumer(std::move(options));
    }

private:
    support::FakeBroker fake_;
};

}  // namespace

TEST_CASE("the in-memory broker keeps the promises of the port", "[contract]") {
    broker_contract([] { return std::make_unique<FakeUnderTest>(); });
}

}  // namespace postfleet::contract
