// wait_for: a port's asynchronous call from a thread that may wait. `on` must run on another thread.
#pragma once

#include <future>
#include <memory>
#include <utility>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet::router {

template <class T, class Start>
T wait_for(Executor& on, Start&& start) {
    constexpr auto kPatience = std::chrono::seconds(20);
    auto promise = std::make_shared<std::promise<T>>();  // the completion may come after the wait
    auto answer = promise->get_future();
    start(Completion<T>{&on, [promise](T value) { promise->set_value(std::move(value)); }});
    if (answer.wait_for(kPatience) == std::future_status::ready) return answer.get();
    return Error{ErrorKind::DeadlineExceeded, "the state store has not answered in time"};
}

}  // namespace postfleet::router
