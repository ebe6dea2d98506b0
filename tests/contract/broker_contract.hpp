// The promises of the ports BrokerPublisher and BrokerConsumer, as checks that every implementation passes.
//
//   TEST_CASE("…") { broker_contract([] { return std::make_unique<MyBrokerUnderTest>(); }); }
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "postfleet/ports/broker.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::contract {

class BrokerUnderTest {
public:
    virtual ~BrokerUnderTest() = default;
    // A name that no other test has on the same broker.
    virtual std::string unique(const std::string& name) = 0;
    // Once, before the others.
    virtual void declare(const wire::BrokerTopology& topology) = 0;
    virtual std::unique_ptr<BrokerPublisher> publisher() = 0;
    virtual std::unique_ptr<BrokerConsumer> consumer(BrokerConsumerOptions options) = 0;

    support::ManualExecutor executor;
};

void broker_contract(const std::function<std::unique_ptr<BrokerUnderTest>()>& make);

}  // namespace postfleet::contract
