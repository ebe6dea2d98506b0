#include "postfleet/runtime/worker_pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "postfleet/base/require.hpp"

namespace postfleet::runtime {

struct WorkerPool::Parts {
    void work();

    std::size_t max_waiting = 0;
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::array<std::deque<Callback>, kPriorities> lines;  // the first is served first
    std::size_t waiting = 0;
    bool is_stopping = false;
    std::vector<std::thread> threads;
};

void WorkerPool::Parts::work() {
    std::unique_lock lock(mutex);
    for (;;) {
        changed.wait(lock, [&] { return is_stopping || waiting > 0; });
        if (is_stopping) return;
        std::deque<Callback>& line =
            *std::find_if(lines.begin(), lines.end(), [](const auto& one) { return !one.empty(); });
        Callback task = std::move(line.front());
        line.pop_front();
        --waiting;
        lock.unlock();
        task();
        task.reset();  // what it owned goes without the lock
        lock.lock();
    }
}

WorkerPool::WorkerPool(const WorkerPoolSettings& settings) : parts_(std::make_unique<Parts>()) {
    require(settings.threads > 0);
    parts_->max_waiting = settings.max_waiting;
    // A new thread inherits the mask; signals are for the main thread.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned number = 0; number < settings.threads; ++number) {
        parts_->threads.emplace_back([parts = parts_.get()] { parts->work(); });
        ::pthread_setname_np(parts_->threads.back().native_handle(), ("pf-worker-" + std::to_string(number)).c_str());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::submit(Priority priority, Callback task) {
    {
        const std::lock_guard lock(parts_->mutex);
        if (parts_->is_stopping || parts_->waiting >= parts_->max_waiting) return false;
        parts_->lines[static_cast<std::size_t>(priority)].push_back(std::move(task));
        ++parts_->waiting;
    }
    parts_->changed.notify_one();
    return true;
}

void WorkerPool::stop() {
    std::array<std::deque<Callback>, kPriorities> dropped;
    {
        const std::lock_guard lock(parts_->mutex);
        parts_->is_stopping = true;
        parts_->waiting = 0;
        dropped.swap(parts_->lines);
    }
    parts_->changed.notify_all();
    for (std::thread& thread : std::exchange(parts_->threads, {})) thread.join();
}

std::size_t WorkerPool::waiting() const {
    const std::lock_guard lock(parts_->mutex);
    return parts_->waiting;
}

}  // namespace postfleet::runtime
