// The process and what surrounds it: descriptors and the service manager.
//
// Threads: thread-safe. Errors: none that matter; what cannot be had is not had.
#pragma once

#include <cstdint>
#include <string>

namespace postfleet::runtime {

// Raises the soft limit of open files to the hard one, and says what it is now.
std::uint64_t raise_descriptor_limit();

// sd_notify(3) without libsystemd: "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…". Nothing happens when
// NOTIFY_SOCKET is not set.
void notify_service_manager(const std::string& state);

// A new thread's name, as top and gdb show it (15 octets at most).
void name_this_thread(const std::string& name);

}  // namespace postfleet::runtime
