// await: calls something asynchronous and blocks until its completion came. `on` runs on another thread. The
// answer may come after we gave up, so the state is shared with it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet::control {

// `whom`: who did not answer in time, for the error.
template <class T, class Start>
Result<T> await(Executor& on, Duration patience, const char* whom, Start&& start) {
    struct State {
        std::mutex mutex;
        std::condition_variable came;
        std::optional<T> answer;
    };
    auto state = std::make_shared<State>();
    start(Completion<T>{&on, [state](T answer) {
                            const std::lock_guard lock(state->mutex);
                            state->answer.emplace(std::move(answer));
                            state->came.notify_all();
                        }});
    std::unique_lock lock(state->mutex);
    if (!state->came.wait_for(lock, patience, [&] { return state->answer.has_value(); })) {
        return Error{ErrorKind::DeadlineExceeded, std::string(whom) + " did not answer in time; try again"};
    }
    return std::move(*state->answer);
}

}  // namespace postfleet::control
