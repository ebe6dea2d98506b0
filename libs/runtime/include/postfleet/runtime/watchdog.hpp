// Watchdog: asks every shard for a sign of life and says which one has not given it.
//
//   check()  each second, from the main thread: posts a question to each shard that has answered its last one
//   stalled()  who has owed an answer for longer than `limit`; the main thread too, if check() is not called
//
// A shard that waits for something outside (a remote MX, DNS, the disk) still answers: only a loop that is
// stuck in its own work does not. So liveness never depends on anything that a restart would not mend.
//
// Threads: check() from one thread, stalled() from any. The executors outlive the Watchdog or have stopped.
// Errors: none.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/metrics.hpp"

namespace postfleet::runtime {

class Watchdog final {
public:
    Watchdog(std::vector<Executor*> shards, Duration limit, Metrics& metrics);

    void check(SteadyTime now);
    // The same for the main thread alone, while the shards do not run yet.
    void note_main_thread(SteadyTime now) { checked_.store(now, std::memory_order_relaxed); }
    // One phrase each: "shard 1 has not answered for 12s". Empty: all is well.
    std::vector<std::string> stalled(SteadyTime now) const;

private:
    struct Question {
        std::atomic<SteadyTime> asked{SteadyTime{}};  // zero: answered
        Gauge* latency_microseconds = nullptr;
    };

    const std::vector<Executor*> shards_;
    const Duration limit_;
    // Shared with the questions under way, which a stopping shard may drop or run late.
    std::vector<std::shared_ptr<Question>> questions_;
    std::atomic<SteadyTime> checked_;
};

}  // namespace postfleet::runtime
