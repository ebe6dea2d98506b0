// require: an assertion that is on in every build.
//
// For bugs only: a state that our own code must never reach. It logs where, and aborts; the spool makes
// that safe. Input from outside, however wrong, never reaches it.
#pragma once

#include <source_location>

namespace postfleet {

[[noreturn]] void require_failed(const std::source_location& where);

inline void require(bool holds, const std::source_location& where = std::source_location::current()) {
    if (!holds) [[unlikely]] require_failed(where);
}

}  // namespace postfleet
