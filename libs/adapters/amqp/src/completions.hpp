// run_all: completions of a batch, with one wake-up per executor. Threads: confined.
#pragma once

#include <algorithm>
#include <utility>

#include "confirm_window.hpp"

namespace postfleet::amqp {

// Empties the list.
inline void run_all(Finished& finished) {
    while (!finished.empty()) {
        Executor* const on = finished.front().first.on;
        const auto others = std::stable_partition(finished.begin(), finished.end(),
                                                  [on](const auto& item) { return item.first.on == on; });
        Finished mine(std::make_move_iterator(finished.begin()), std::make_move_iterator(others));
        finished.erase(finished.begin(), others);
        on->post([mine = std::move(mine)]() mutable {
            for (auto& [done, status] : mine) done.run(std::move(status));
        });
    }
}

inline void run_one(Completion<Status> done, Status status) {
    Executor* const on = done.on;
    on->post([run = std::move(done.run), status = std::move(status)]() mutable { run(std::move(status)); });
}

}  // namespace postfleet::amqp
