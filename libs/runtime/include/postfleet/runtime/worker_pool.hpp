// WorkerPool: the Workers port over a few threads of its own.
//
//   submit ─▶ high │ normal │ low (max_waiting in all) ─▶ threads
//
// stop() finishes the tasks at work, drops the others and joins the threads; submit() says false from then on.
// Threads: thread-safe; blocks only in its own threads and in stop().
#pragma once

#include <cstddef>
#include <memory>

#include "postfleet/ports/workers.hpp"

namespace postfleet::runtime {

struct WorkerPoolSettings {
    unsigned threads = 1;
    std::size_t max_waiting = 20'000;
};

class WorkerPool final : public Workers {
public:
    explicit WorkerPool(const WorkerPoolSettings& settings);
    ~WorkerPool() override;
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    [[nodiscard]] bool submit(Priority priority, Callback task) override;
    void stop();
    std::size_t waiting() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postfleet::runtime
