// What the running process answers to the commands about orders (docs/ORDERS.md):
//
//   pause · delete · bounce · move  give an order · suppress · unsuppress  by addresses · resume · withdraw  end orders
//   retry · orders
//
// With dry_run=yes nothing is done, and the answer says how much mail it is about. Answers are JSON.
// Threads: thread-safe; blocks until the sender has answered.
#pragma once

#include <optional>

#include "selectors.hpp"

namespace postfleet::control {

// Nothing: it is no command about orders.
std::optional<Result<std::string>> run_order_command(const runtime::ControlRequest& request, Executor& executor,
                                                     SenderControl& sender);

}  // namespace postfleet::control
