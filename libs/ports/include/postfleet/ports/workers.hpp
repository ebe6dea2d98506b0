// Workers (port): threads beside the shards, for work that takes longer than a shard may.
//
// Every implementation promises:
//  * a task runs once, on some thread that is no shard; those of a higher priority first, else in order.
//  * the number of tasks that wait is bounded: beyond it submit() says false and forgets the task.
//  * a task that has not begun when the process ends never runs; it is destroyed.
//
// A task owns what it works on, and posts what comes out to the executor that asked.
// Threads: thread-safe. submit() never blocks.
#pragma once

#include "postfleet/base/function.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet {

class Workers {
public:
    virtual ~Workers() = default;
    [[nodiscard]] virtual bool submit(Priority priority, Callback task) = 0;
};

}  // namespace postfleet
