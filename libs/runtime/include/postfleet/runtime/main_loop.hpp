// MainLoop: what the main thread does while the shards work.
//
//   run()        signals, posted tasks, a tick each second … until somebody wants the process to stop
//   await()      the same while the process drains, until `finished`, the deadline, or a second stop; no reloads
//
// SIGTERM, SIGINT and request_stop() ask for a stop, once for a drain, twice for an end at once. SIGHUP calls
// on_reload. SIGPIPE is ignored. create() blocks these signals for the calling thread and all that it starts
// later, so call it before the first thread.
//
// Threads: post() and request_stop() from anywhere, signal handlers excepted; the rest is the main thread's.
// Errors: create() when the process is out of descriptors.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "postfleet/base/function.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::runtime {

class MainLoop final {
public:
    static Result<std::unique_ptr<MainLoop>> create();
    ~MainLoop();
    MainLoop(const MainLoop&) = delete;
    MainLoop& operator=(const MainLoop&) = delete;

    struct Hooks {
        std::function<void()> on_reload;
        std::function<void()> on_tick;
    };
    void run(Hooks hooks);

    enum class Awaited { Finished, TimedOut, Hurried };
    Awaited await(SteadyTime deadline, const std::function<bool()>& finished);

    void post(Callback task);
    void request_stop();
    // What asked for the stop: "SIGTERM", "SIGINT", "a request"; empty before.
    const std::string& stop_reason() const { return stop_reason_; }

private:
    MainLoop(int signals, int wake) : signals_(signals), wake_(wake) {}
    void turn(SteadyTime until);
    void tick_if_due();
    void read_signals();
    void run_tasks();

    const int signals_, wake_;
    Hooks hooks_;
    int stops_ = 0;
    std::string stop_reason_;
    SteadyTime next_tick_{};
    std::mutex mutex_;
    std::vector<Callback> tasks_;
    bool stop_requested_ = false;
};

}  // namespace postfleet::runtime
