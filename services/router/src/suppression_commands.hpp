// What a router answers to the command line about suppressions (mail/suppression.hpp):
//
//   suppressions [tenant=…] [after_tenant=… after=…] [limit=N]   a page of them, in the order of tenant and target
//   suppressions-add addresses=… [tenant=…] [why=…] [for=…]      each line an address or a domain, and after a tab a reason
//   suppressions-remove addresses=… [tenant=…]
//
// Answers are JSON. Threads: thread-safe; blocks until the store has answered.
#pragma once

#include <optional>

#include "postfleet/ports/state_store.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::router {

// Nothing: it is another command.
std::optional<Result<std::string>> run_suppression_command(const runtime::ControlRequest& request, StateStore& store,
                                                           Executor& executor);

}  // namespace postfleet::router
