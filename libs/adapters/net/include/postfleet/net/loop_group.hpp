// LoopGroup: N event loops on N threads, one per shard.
//
// The threads take no signals (they go to the main thread) and are named pf-shard-0 … stop() asks every
// loop to finish what was posted before; join() waits for the threads. Destroying a group stops and joins.
//
// Threads: externally locked, from a thread that is none of its own. Errors: create(), out of descriptors.
#pragma once

#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "postfleet/net/epoll_loop.hpp"

namespace postfleet::net {

class LoopGroup {
public:
    static Result<std::unique_ptr<LoopGroup>> create(unsigned loops);
    ~LoopGroup();
    LoopGroup(const LoopGroup&) = delete;
    LoopGroup& operator=(const LoopGroup&) = delete;

    void start();
    void stop();
    void join();

    std::span<EpollLoop* const> loops() const { return pointers_; }
    EpollLoop& operator[](std::size_t shard) { return *pointers_[shard]; }
    std::size_t size() const { return pointers_.size(); }

private:
    LoopGroup() = default;

    std::vector<std::unique_ptr<EpollLoop>> loops_;
    std::vector<EpollLoop*> pointers_;
    std::vector<std::thread> threads_;
};

}  // namespace postfleet::net
