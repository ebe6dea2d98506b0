// The port's promises, kept by RabbitMQ and our client together.
#include <catch2/catch.hpp>

#include "../contract/broker_contract.hpp"
#include "real_broker.hpp"

namespace postfleet::broker_test {

namespace {

class RabbitUnderTest final : public contract::BrokerUnderTest {
public:
    std::string unique(const std::string& name) override {
        auto& made = names_[name];
        if (made.empty()) made = unique_name(name);
        return made;
    }
    void declare(const wire::BrokerTopology& topology) override {
        auto options = broker_options();
        options.topology = topology;
        broker_ = std::make_unique<amqp::Broker>(std::move(options));
    }
    std::unique_ptr<BrokerPublisher> publisher() override { return broker_->publisher(); }
    std::unique_ptr<BrokerConsumer> consumer(BrokerConsumerOptions options) override {
        return broker_->consumer(std::move(options));
    }

private:
    std::map<std::string, std::string> names_;
    std::unique_ptr<amqp::Broker> broker_;
};

}  // namespace

TEST_CASE("RabbitMQ keeps the promises of the port", "[contract]") {
    contract::broker_contract([] { return std::make_unique<RabbitUnderTest>(); });
}

}  // namespace postfleet::broker_test
