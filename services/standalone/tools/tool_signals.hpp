// BlockedSignals: SIGINT and SIGTERM as something to wait for, while it lives.
//
// Make it before any thread, which inherits the mask. Threads: wait() on the thread that made it.
#pragma once

#include <csignal>

#include "postfleet/base/time.hpp"

namespace postfleet::tools {

class BlockedSignals {
public:
    BlockedSignals() {
        ::sigemptyset(&signals_);
        ::sigaddset(&signals_, SIGINT);
        ::sigaddset(&signals_, SIGTERM);
        ::pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    }
    ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

    // True when one came within `longest`.
    bool wait(Duration longest) const {
        timespec timeout{};
        timeout.tv_sec = static_cast<time_t>(longest.count() / 1'000'000'000);
        timeout.tv_nsec = static_cast<long>(longest.count() % 1'000'000'000);
        return ::sigtimedwait(&signals_, nullptr, &timeout) > 0;
    }

private:
    sigset_t signals_{}, before_{};
};

}  // namespace postfleet::tools
