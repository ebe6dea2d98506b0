// TimerHeap: the timers of one loop, ordered by due time; equal times fire in the order they were set.
//
// A 4-ary heap of (time, sequence, slot) beside a slab of callbacks that know their place in the heap, so
// that insert, cancel and move cost O(log n) and nothing is left behind. A TimerId carries the slot's
// generation: an id that was used up is harmless.
//
// Threads: confined to its loop.
#pragma once

#include <cstdint>
#include <vector>

#include "postfleet/base/executor.hpp"

namespace postfleet::net {

class TimerHeap {
public:
    TimerId insert(SteadyTime when, Callback task);
    // False if it has fired or was cancelled before.
    bool cancel(TimerId timer);
    // Gives a waiting timer another time; false as above.
    bool move(TimerId timer, SteadyTime when);

    SteadyTime next_due() const { return heap_.empty() ? SteadyTime::max() : heap_.front().when; }
    // Takes the first timer that is due; empty if none is.
    Callback take_due(SteadyTime now);
    std::size_t size() const { return heap_.size(); }

private:
    struct Entry {
        SteadyTime when;
        std::uint64_t sequence;
        std::uint32_t slot;
        bool before(const Entry& other) const {
            return when != other.when ? when < other.when : sequence < other.sequence;
        }
    };
    struct Slot {
        Callback task;
        std::uint32_t position = 0;    // in heap_, while waiting
        std::uint32_t generation = 1;  // odd while waiting
    };

    Slot* find(TimerId timer);
    void place(std::size_t position, const Entry& entry);
    void sift_up(std::size_t position);
    void sift_down(std::size_t position);
    void restore(std::size_t position);
    Callback remove_at(std::size_t position);

    std::vector<Entry> heap_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_slots_;
    std::uint64_t next_sequence_ = 0;
};

}  // namespace postfleet::net
