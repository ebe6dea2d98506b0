// await_result, eventually: how a test waits for something without guessing how long it takes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "postfleet/base/executor.hpp"

namespace postfleet::support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::chrono::seconds kPatience{100};  // what runs under a sanitizer is several times slower
#else
inline constexpr std::chrono::seconds kPatience{60};
#endif

// Calls `start` with a Completion for `on` and blocks until it was called; empty when patience ended first.
// `on` must run on another thread. A completion that comes later, or twice, does no harm.
//
//   auto status = await_result<Status>(loop, [&](auto done) { spool.commit(batch, std::move(done)); });
template <class T, class Start>
std::optional<T> await_result(Executor& on, Start&& start, std::chrono::milliseconds patience = kPatience) {
    struct State {
        std::mutex mutex;
        std::condition_variable came;
        std::optional<T> result;
    };
    // Shared because the completion may outlive the wait.
    auto state = std::make_shared<State>();
    std::forward<Start>(start)(Completion<T>{&on, [state](T result) {
                                                 const std::lock_guard lock(state->mutex);
                                                 if (!state->result) state->result.emplace(std::move(result));
                                                 state->came.notify_all();
                                             }});
    std::unique_lock lock(state->mutex);
    state->came.wait_for(lock, patience, [&] { return state->result.has_value(); });
    return std::move(state->result);
}

// Runs `work` on the executor's thread and waits until it has run; false when patience ended first.
template <class Work>
bool run_on(Executor& on, Work&& work, std::chrono::milliseconds patience = kPatience) {
    struct State {
        std::mutex mutex;
        std::condition_variable came;
        bool done = false;
    };
    auto state = std::make_shared<State>();
    on.post([state, work = std::forward<Work>(work)]() mutable {
        work();
        const std::lock_guard lock(state->mutex);
        state->done = true;
        state->came.notify_all();
    });
    std::unique_lock lock(state->mutex);
    return state->came.wait_for(lock, patience, [&] { return state->done; });
}

// For what cannot call back (another process): looks every millisecond until `holds()` or patience ends.
template <class Holds>
bool eventually(Holds&& holds, std::chrono::milliseconds patience = kPatience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
        if (std::chrono::steady_clock::now() >= deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace postfleet::support
