#include "postfleet/net/loop_group.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "postfleet/base/require.hpp"

namespace postfleet::net {

namespace {

// The kernel may wake a thread so much later than it asked for, 50 µs where nobody says; pacing pays for that with each
// permit.
void wake_in_time() {
    constexpr unsigned long kSlackNanoseconds = 1'000;
    ::prctl(PR_SET_TIMERSLACK, kSlackNanoseconds, 0, 0, 0);
}

}  // namespace

Result<std::unique_ptr<LoopGroup>> LoopGroup::create(unsigned loops) {
    std::unique_ptr<LoopGroup> group(new LoopGroup);
    for (unsigned shard = 0; shard < loops; ++shard) {
        Result<std::unique_ptr<EpollLoop>> loop = EpollLoop::create(shard);
        if (!loop) return loop.error();
        group->pointers_.push_back(loop->get());
        group->loops_.push_back(std::move(*loop));
    }
    return group;
}

LoopGroup::~LoopGroup() {
    stop();
    join();
}

void LoopGroup::start() {
    require(threads_.empty());
    // A new thread inherits the mask, so that no signal slips in before it could block them itself.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    for (EpollLoop* loop : pointers_) {
        threads_.emplace_back([loop] {
            wake_in_time();
            loop->run();
        });
        const std::string name = fmt::format("pf-shard-{}", loop->shard());
        ::pthread_setname_np(threads_.back().native_handle(), name.c_str());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LoopGroup::stop() {
    if (threads_.empty()) return;
    for (EpollLoop* loop : pointers_) loop->stop();
}

void LoopGroup::join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

}  // namespace postfleet::net
