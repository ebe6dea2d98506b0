// CountingExecutor and Load: work for a spool, also in a process of its own (crash_child.cpp).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "postfleet/ports/spool.hpp"
#include "postfleet/support/spool_samples.hpp"

namespace postfleet::spool::test {

// What the child of the crash test writes to its parent, for each confirmed commit.
struct Confirmation {
    std::uint64_t n;
    std::uint64_t ended;  // 0: accepted
};

// An executor whose posts are counted, and run by the test.
class CountingExecutor final : public Executor {
public:
    explicit CountingExecutor(unsigned shard) : shard_(shard) {}
    void post(Callback task) override {
        std::lock_guard lock(mutex_);
        posts_.push_back(std::move(task));
        posted_++;
        came_.notify_all();
    }
    TimerId schedule_at(SteadyTime, Callback) override { return {}; }
    void cancel(TimerId) override {}
    SteadyTime now() const override { return steady_clock_now(); }
    WallTime wall_now() const override { return wall_clock_now(); }
    bool is_current_thread() const override { return true; }
    unsigned shard() const override { return shard_; }

    std::size_t posted() {
        std::lock_guard lock(mutex_);
        return posted_;
    }
    // Runs what is posted until `holds()`.
    template <class Holds>
    bool run_until(Holds&& holds) {
        auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!holds()) {
            std::unique_lock lock(mutex_);
            if (!came_.wait_until(lock, deadline, [&] { return !posts_.empty(); })) return false;
            auto task = std::move(posts_.front());
            posts_.pop_front();
            lock.unlock();
            task();
        }
        return true;
    }

private:
    const unsigned shard_;
    std::mutex mutex_;
    std::condition_variable came_;
    std::deque<Callback> posts_;
    std::size_t posted_ = 0;
};

// Whether a message may be offered again. A group that has one waits for those before.
inline bool was_offered(std::uint64_t n) { return n % 16 == 1; }

// Commits messages 0, 1, 2 … with `outstanding` in flight, and ends every third of them; `accepted` and `ended`
// are told when a commit is confirmed.
class Load {
public:
    Load(Spool& spool, Executor& executor, std::uint64_t first, std::function<void(std::uint64_t)> accepted,
         std::function<void(std::uint64_t)> ended)
        : spool_(spool), executor_(executor), next_(first), accepted_(std::move(accepted)), ended_(std::move(ended)) {}
    void begin(std::size_t outstanding) {
        for (std::size_t i = 0; i < outstanding; i++) accept();
    }
    std::uint64_t next() const { return next_; }
    void stop() { stopping_ = true; }
    std::size_t in_flight() const { return in_flight_; }

private:
    void accept() {
        if (stopping_) return;
        auto n = next_++;
        in_flight_++;
        auto batch = support::sample_acceptance(n, 500 + n * 37 % 9000);
        if (was_offered(n)) batch.taken_as = support::sample_id(n);
        spool_.commit(std::move(batch), {&executor_, [this, n](Status status) {
                                             in_flight_--;
                                             if (!status) return;
                                             accepted_(n);
                                             if (n % 3 == 0) end(n);
                                             accept();
                                         }});
    }
    void end(std::uint64_t n) {
        in_flight_++;
        spool_.commit(support::sample_outcome(n), {&executor_, [this, n](Status status) {
                                                       in_flight_--;
                                                       if (status) ended_(n);
                                                   }});
    }
    Spool& spool_;
    Executor& executor_;
    std::uint64_t next_;
    std::function<void(std::uint64_t)> accepted_, ended_;
    bool stopping_ = false;
    std::size_t in_flight_ = 0;
};

}  // namespace postfleet::spool::test
