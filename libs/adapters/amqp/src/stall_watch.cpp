#include "stall_watch.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace postfleet::amqp {

void Stall::attach(int fd) {
    const std::lock_guard lock(mutex_);
    fd_ = fd;
    was_shut_down_.store(false);
}

void Stall::detach() {
    const std::lock_guard lock(mutex_);
    fd_ = -1;
}

void Stall::look(SteadyTime now, Duration timeout) {
    const std::uint64_t steps = steps_.load(std::memory_order_relaxed);
    if (steps % 2 == 0 || steps != seen_) {
        seen_ = steps;
        seen_at_ = now;
        return;
    }
    if (now - seen_at_ < timeout) return;
    // Under the lock: a socket that is closed now might be another one a moment later.
    const std::lock_guard lock(mutex_);
    if (fd_ < 0 || was_shut_down_.exchange(true)) return;
    ::shutdown(fd_, SHUT_RDWR);
}

StallWatch::StallWatch(Duration timeout) : timeout_(timeout), thread_([this] { run(); }) {}

StallWatch::~StallWatch() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void StallWatch::add(Stall& stall) {
    const std::lock_guard lock(mutex_);
    stalls_.push_back(&stall);
}

void StallWatch::remove(Stall& stall) {
    const std::lock_guard lock(mutex_);
    std::erase(stalls_, &stall);
}

void StallWatch::run() {
    const Duration often = std::min<Duration>(std::chrono::seconds(1), timeout_ / 4);
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
        changed_.wait_for(lock, often);
        const SteadyTime now = steady_clock_now();
        for (Stall* stall : stalls_) stall->look(now, timeout_);
    }
}

}  // namespace postfleet::amqp
