// EpollLoop: one shard's event loop over epoll(7): timers, posted tasks and the sockets that live on it.
//
// Each turn: wait · sockets that are ready · sockets that had more than their share last turn · due timers ·
// posted tasks. Sockets are registered once, edge-triggered, for everything; no further epoll_ctl and no
// read that only finds "nothing there". One read buffer serves all sockets of the loop, so an idle
// connection holds none.
//
//   watch(fd) → PollId      events of fd go to the Pollable until unwatch(PollId)
//   run_again(PollId)       on_events(0) in the next turn: work that was cut off for fairness, or that must
//                           not happen inside the current call
//   is_watching(PollId)     false once unwatched: how code notices that a callback destroyed its object
//
// A PollId is slot and generation, so an event that was fetched before its socket was closed goes nowhere.
//
// Threads: post(), stop(), the counters and now() of a stopped loop are thread-safe; the rest belongs to the
// thread in run(), or to whoever holds the loop while nobody runs it. run() blocks in epoll_pwait2 only.
// A loop outlives its streams, and must not be destroyed while it runs; tasks that it never ran are
// destroyed with it. Errors: create() when the process is out of descriptors.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/settled_clock.hpp"
#include "postfleet/net/task_inbox.hpp"
#include "postfleet/net/timer_heap.hpp"
#include "postfleet/net/unique_fd.hpp"
#include "postfleet/ports/transport.hpp"

namespace postfleet::net {

class Pollable {
public:
    virtual void on_events(std::uint32_t epoll_events) = 0;

protected:
    ~Pollable() = default;
};

struct PollId {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;  // 0: none
    explicit operator bool() const { return generation != 0; }
    friend bool operator==(PollId, PollId) = default;
};

class EpollLoop final : public Executor, public Transport {
public:
    static constexpr std::size_t kScratchOctets = 64 * 1024;

    static Result<std::unique_ptr<EpollLoop>> create(unsigned shard);
    ~EpollLoop() override;
    EpollLoop(const EpollLoop&) = delete;
    EpollLoop& operator=(const EpollLoop&) = delete;

    // Runs until stop(); what was posted before stop() has run when it returns. May be run again.
    void run();
    void stop();
    // One turn; waits at most `longest`. For tests and tools that drive a loop by hand.
    void run_turn(Duration longest);

    // Executor
    void post(Callback task) override;
    TimerId schedule_at(SteadyTime when, Callback task) override;
    void cancel(TimerId timer) override;
    SteadyTime now() const override { return now_; }
    SteadyTime precise_now() const override { return steady_clock_now(); }
    WallTime wall_now() const override;  // settled: a jump of the system's clock is not believed at once
    bool is_current_thread() const override;
    unsigned shard() const override { return shard_; }

    // Transport
    std::unique_ptr<Stream> connect(const ConnectRequest& request, StreamHandler& handler) override;

    // For sockets of this library.
    Result<PollId> watch(int fd, std::uint32_t epoll_events, Pollable& pollable);
    PollId watch_nothing(Pollable& pollable);  // for run_again() alone
    void unwatch(PollId id, int fd);           // fd -1: it is closed at once anyway
    bool is_watching(PollId id) const { return id.slot < slots_.size() && slots_[id.slot].generation == id.generation; }
    void run_again(PollId id) { ready_.push_back(id); }
    bool move_timer(TimerId timer, SteadyTime when) { return timers_.move(timer, when); }
    std::span<char> scratch() { return {scratch_.get(), kScratchOctets}; }

    // Accepted streams that live here or are on their way, for spreading them over the loops.
    int inbound_streams() const { return inbound_streams_.load(std::memory_order_relaxed); }
    void add_inbound_stream() { inbound_streams_.fetch_add(1, std::memory_order_relaxed); }
    void remove_inbound_stream() { inbound_streams_.fetch_sub(1, std::memory_order_relaxed); }

    struct Statistics {
        std::uint64_t turns = 0;    // calls of epoll_pwait2
        std::uint64_t events = 0;   // socket events
        std::uint64_t tasks = 0;    // posted tasks that ran
        std::uint64_t wakeups = 0;  // writes to the eventfd
    };
    Statistics statistics() const;

private:
    struct Slot {
        Pollable* pollable = nullptr;
        std::uint32_t generation = 1;
    };

    EpollLoop(unsigned shard, UniqueFd epoll, UniqueFd wake);
    Duration time_to_wait(Duration longest);
    void dispatch(PollId id, std::uint32_t epoll_events);
    void dispatch_ready();
    void run_due_timers();
    void run_tasks();
    PollId take_slot(Pollable& pollable);

    const unsigned shard_;
    UniqueFd epoll_;
    UniqueFd wake_;
    std::unique_ptr<char[]> scratch_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_slots_;
    std::vector<PollId> ready_, ready_now_;
    TimerHeap timers_;
    TaskInbox inbox_;
    std::vector<Callback> local_tasks_, running_tasks_;
    SteadyTime now_;
    mutable SettledClock clock_;
    mutable WallTime wall_now_{};  // read when first asked for in a turn
    mutable bool wall_is_read_ = false;
    bool stopping_ = false;
    std::atomic<std::thread::id> runner_{};
    std::atomic<int> inbound_streams_{0};
    // Written by the loop's thread only, except wakeups_.
    std::atomic<std::uint64_t> turns_{0}, events_{0}, tasks_{0}, wakeups_{0};
};

}  // namespace postfleet::net
