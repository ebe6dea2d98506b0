// BrokerOptions: --broker and what belongs to it, for the commands that work on the cluster's RabbitMQ themselves. They
// have the names and the variables that the services have, so that what lets a service in lets the command in.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "postfleet/base/broker_access.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet::standalone {

struct BrokerOptions {
    std::string url = "amqp://127.0.0.1";
    BrokerAccess files;  // without the URL
};

void add_broker_options(CLI::App& command, BrokerOptions& options);

Result<BrokerAccess> access_of(const BrokerOptions& options);

}  // namespace postfleet::standalone
