// ReaderPool: a few threads that read from the disk for callers who must not wait.
//
// Threads: add() thread-safe, never blocks. Bounded: add() says false when too many jobs wait. Jobs that have
// not begun when it is destroyed are run first.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "postfleet/base/function.hpp"

namespace postfleet::spool {

class ReaderPool {
public:
    ReaderPool(unsigned threads, std::size_t max_waiting);
    ~ReaderPool();
    // Leaves `job` alone when it cannot be taken.
    bool add(Callback& job);

private:
    void run();

    const std::size_t max_waiting_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Callback> jobs_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace postfleet::spool
