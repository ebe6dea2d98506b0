#include "postfleet/net/timer_heap.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::net {

namespace {

constexpr std::size_t kArity = 4;

std::uint32_t slot_of(TimerId timer) { return static_cast<std::uint32_t>(timer.value); }
std::uint32_t generation_of(TimerId timer) { return static_cast<std::uint32_t>(timer.value >> 32); }

}  // namespace

TimerId TimerHeap::insert(SteadyTime when, Callback task) {
    std::uint32_t index;
    if (free_slots_.empty()) {
        index = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        index = free_slots_.back();
        free_slots_.pop_back();
        ++slots_[index].generation;
    }
    slots_[index].task = std::move(task);
    heap_.push_back({when, next_sequence_++, index});
    sift_up(heap_.size() - 1);
    return TimerId{(static_cast<std::uint64_t>(slots_[index].generation) << 32) | index};
}

bool TimerHeap::cancel(TimerId timer) {
    const Slot* slot = find(timer);
    if (slot == nullptr) return false;
    // The callable dies here, after the heap is whole again: its destructor may come back to us.
    const Callback forgotten = remove_at(slot->position);
    return true;
}

bool TimerHeap::move(TimerId timer, SteadyTime when) {
    const Slot* slot = find(timer);
    if (slot == nullptr) return false;
    heap_[slot->position].when = when;
    heap_[slot->position].sequence = next_sequence_++;
    restore(slot->position);
    return true;
}

Callback TimerHeap::take_due(SteadyTime now) {
    if (heap_.empty() || heap_.front().when > now) return nullptr;
    return remove_at(0);
}

TimerHeap::Slot* TimerHeap::find(TimerId timer) {
    const std::uint32_t index = slot_of(timer);
    if (!timer || index >= slots_.size() || slots_[index].generation != generation_of(timer)) return nullptr;
    return &slots_[index];
}

void TimerHeap::place(std::size_t position, const Entry& entry) {
    heap_[position] = entry;
    slots_[entry.slot].position = static_cast<std::uint32_t>(position);
}

void TimerHeap::sift_up(std::size_t position) {
    const Entry entry = heap_[position];
    while (position > 0) {
        const std::size_t parent = (position - 1) / kArity;
        if (!entry.before(heap_[parent])) break;
        place(position, heap_[parent]);
        position = parent;
    }
    place(position, entry);
}

void TimerHeap::sift_down(std::size_t position) {
    const Entry entry = heap_[position];
    for (;;) {
        const std::size_t first = position * kArity + 1;
        if (first >= heap_.size()) break;
        std::size_t least = first;
        const std::size_t end = std::min(first + kArity, heap_.size());
        for (std::size_t child = first + 1; child < end; ++child) {
            if (heap_[child].before(heap_[least])) least = child;
        }
        if (!heap_[least].before(entry)) break;
        place(position, heap_[least]);
        position = least;
    }
    place(position, entry);
}

void TimerHeap::restore(std::size_t position) {
    const std::uint32_t slot = heap_[position].slot;
    sift_up(position);
    if (slots_[slot].position == position) sift_down(position);
}

Callback TimerHeap::remove_at(std::size_t position) {
    const std::uint32_t index = heap_[position].slot;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (position < heap_.size()) {
        place(position, last);
        restore(position);
    }
    Slot& slot = slots_[index];
    ++slot.generation;
    free_slots_.push_back(index);
    return std::exchange(slot.task, nullptr);
}

}  // namespace postfleet::net
