#include "reader_pool.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::spool {

ReaderPool::ReaderPool(unsigned threads, std::size_t max_waiting) : max_waiting_(max_waiting) {
    for (unsigned i = 0; i < std::max(threads, 1u); i++) threads_.emplace_back([this] { run(); });
}

ReaderPool::~ReaderPool() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
}

bool ReaderPool::add(Callback& job) {
    {
        std::lock_guard lock(mutex_);
        if (jobs_.size() >= max_waiting_ || stopping_) return false;
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

void ReaderPool::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        job.reset();
        lock.lock();
    }
}

}  // namespace postfleet::spool
