// AckBatch: the deliveries of one channel that are not acknowledged, and how little has to be said to do that (RMQ-16).
//
// Deliveries are numbered from 1 on. Everything up to the first that is still open goes in one acknowledgement; what
// was settled behind it goes one by one.
//
// Threads: confined.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "postfleet/ports/broker.hpp"

namespace postfleet::amqp {

struct Settlement {
    std::uint64_t number = 0;
    bool multiple = false;
    BrokerVerdict verdict = BrokerVerdict::Ack;
    friend bool operator==(const Settlement&, const Settlement&) = default;
};

class AckBatch {
public:
    // The next number is the one expected; false: the broker counts otherwise than we do.
    [[nodiscard]] bool delivered(std::uint64_t number, std::uint64_t octets);
    void settle(std::uint64_t number, BrokerVerdict verdict);  // unknown or again: nothing
    // What is to be said for what was settled since; each thing once.
    void take(std::vector<Settlement>& out);
    void clear();  // the channel is gone

    std::size_t open() const { return open_; }
    std::uint64_t open_octets() const { return open_octets_; }

private:
    enum class State : std::uint8_t { Open, Acked, Requeued, Rejected, Said };
    struct Entry {
        std::uint64_t octets = 0;
        State state = State::Open;
    };
    void say_one(std::size_t index, std::vector<Settlement>& out);

    std::deque<Entry> entries_;
    std::uint64_t first_ = 1;  // number of the first entry
    std::size_t open_ = 0, unsaid_ = 0;
    std::uint64_t open_octets_ = 0;
};

}  // namespace postfleet::amqp
