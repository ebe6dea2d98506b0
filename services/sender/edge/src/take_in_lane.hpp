// TakeInLane: one of the queues that the take-in empties, and what it has given us that waits. Confined.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "postfleet/base/id.hpp"
#include "postfleet/ports/broker.hpp"

namespace postfleet::sender {

struct TakeInLane {
    enum class Kind : std::uint8_t { High, Normal, Overflow };

    Kind kind = Kind::Normal;
    std::string queue{};
    std::unique_ptr<BrokerConsumer> consumer{};  // null: closed
    std::uint32_t opened = 0;                    // times; a tag belongs to one opening
    bool paused = false;
    std::deque<MessageId> waiting{};

    void set_paused(bool pause) {
        if (!consumer || paused == pause) return;
        paused = pause;
        if (pause) consumer->pause();
        else consumer->resume();
    }
};

// Where a hand-over came from, once for every time.
struct TakeInSource {
    TakeInLane* lane = nullptr;
    std::uint32_t opened = 0;
    std::uint64_t tag = 0;

    void acknowledge() const {
        if (lane->consumer && lane->opened == opened) lane->consumer->settle(tag, BrokerVerdict::Ack);
    }
};

}  // namespace postfleet::sender
