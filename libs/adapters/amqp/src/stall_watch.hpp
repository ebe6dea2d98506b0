// StallWatch: ends connections whose thread hangs in a write to a broker that reads no more (RMQ-3).
//
// rabbitmq-c writes without a deadline. A Stall is one connection's: its thread says when it begins to write, that it
// goes on, and when it is done; when nothing was said for `timeout` in between, the watch's thread shuts the socket
// down, and the write fails.
//
// Threads: thread-safe; begin(), step() and end() are the connection's thread's, and lock nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "postfleet/base/time.hpp"

namespace postfleet::amqp {

class Stall {
public:
    void begin() { steps_.store(++counted_ * 2 + 1, std::memory_order_relaxed); }
    void step() { begin(); }
    void end() { steps_.store(++counted_ * 2, std::memory_order_relaxed); }

    // The connection's socket, which is open until detach().
    void attach(int fd);
    void detach();
    bool was_shut_down() const { return was_shut_down_.load(); }

private:
    friend class StallWatch;
    void look(SteadyTime now, Duration timeout);  // the watch's thread

    std::uint64_t counted_ = 0;            // the connection's thread's
    std::atomic<std::uint64_t> steps_{0};  // odd: in a write
    std::atomic<bool> was_shut_down_{false};
    std::mutex mutex_;
    int fd_ = -1;
    std::uint64_t seen_ = 0;  // the watch's thread's, as the next
    SteadyTime seen_at_{};
};

class StallWatch {
public:
    explicit StallWatch(Duration timeout);
    ~StallWatch();
    StallWatch(const StallWatch&) = delete;
    StallWatch& operator=(const StallWatch&) = delete;

    void add(Stall& stall);
    void remove(Stall& stall);

private:
    void run();

    const Duration timeout_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Stall*> stalls_;
    bool is_stopping_ = false;
    std::thread thread_;
};

}  // namespace postfleet::amqp
