// What a router answers to the command line:
//
//   senders                           whose each sender's name is, and who waits for it
//   takeover sender=… [spool=…]       the name goes to the spool that was refused last, or to the one named
//   release sender=… epoch=…          the name is free
// and about suppressions: suppression_commands.hpp
//
// Answers are JSON. Threads: thread-safe; blocks until the store has answered.
#pragma once

#include "postfleet/ports/state_store.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::router {

Result<std::string> run_command(const runtime::ControlRequest& request, StateStore& store, Executor& executor);

}  // namespace postfleet::router
