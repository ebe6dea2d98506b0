// Executor: a shard's event loop as the code above it sees it.
//
// Everything confined to a shard runs on its executor's thread, one callback at a time. post() is the only
// member that may be called from another thread. A callback must not block.
//
//   post(f)            f runs later on the shard's thread, in the order of the posts of one thread
//   schedule_at(t, f)  f runs on the shard's thread at t or shortly after; cancel() forgets it, and is ok
//                      for a timer that has fired. A timer that is cancelled never runs.
//   now()              steady time, read once per turn of the loop: cheap, and a little old
//   precise_now()      steady time, read now: for pacing, where a turn is too coarse
//
// Threads: post() thread-safe; the rest confined to the executor's thread.
// Implementations: EpollLoop (libs/adapters/net), ManualExecutor (tests/support).
#pragma once

#include <cstdint>

#include "postfleet/base/function.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet {

struct TimerId {
    std::uint64_t value = 0;  // 0: no timer
    explicit operator bool() const { return value != 0; }
    friend bool operator==(TimerId, TimerId) = default;
};

class Executor {
public:
    virtual ~Executor() = default;
    virtual void post(Callback task) = 0;
    virtual TimerId schedule_at(SteadyTime when, Callback task) = 0;
    virtual void cancel(TimerId timer) = 0;
    virtual SteadyTime now() const = 0;
    virtual SteadyTime precise_now() const { return now(); }
    virtual WallTime wall_now() const = 0;
    virtual bool is_current_thread() const = 0;
    virtual unsigned shard() const = 0;  // 0 … number of shards - 1
};

// Completion: what an asynchronous port calls when it is done, exactly once, on `on`'s thread.
template <class T>
struct Completion {
    Executor* on = nullptr;
    UniqueFunction<void(T)> run;
};

}  // namespace postfleet
