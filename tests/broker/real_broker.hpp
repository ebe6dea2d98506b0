// RealBroker: the RabbitMQ that tests/support/brokers/rabbitmq.py has started for this program, and how to treat it.
#pragma once

#include <memory>
#include <string>

#include "postfleet/amqp/broker.hpp"

namespace postfleet::broker_test {

// Options for the broker of this run; pauses are short.
amqp::BrokerOptions broker_options();
// A name that nobody else has on this broker.
std::string unique_name(const std::string& name);
// One line to the launcher: "kill", "start", "pause" …; answers what it printed.
std::string order(const std::string& line);
std::string test_variable(const char* name);

}  // namespace postfleet::broker_test
