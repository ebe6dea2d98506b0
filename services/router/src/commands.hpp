// What a router answers to the command line:
//
//   senders                           whose each sender's name is, who waits for it, and who is missing
//   takeover sender=… [spool=…]       the name goes to the spool that was refused last, or to the one named
//   release sender=… epoch=…          the name is free
// and about suppressions: suppression_commands.hpp
//
// Answers are JSON. Threads: thread-safe; blocks until the store has answered.
#pragma once

#include <set>

#include "postfleet/ports/state_store.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::router {

// `named_senders`: those that the configuration gives mail.
Result<std::string> run_command(const runtime::ControlRequest& request, StateStore& store, Executor& executor,
                                const std::set<std::string>& named_senders);

}  // namespace postfleet::router
