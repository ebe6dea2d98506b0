#include "postfleet/schedule/task_slab.hpp"

#include <new>

namespace postfleet::schedule {

TaskId TaskSlab::insert() {
    ++size_;
    if (first_free_ != kFree) {
        const std::uint32_t place = first_free_;
        WaitingTask& task = *at(place);
        first_free_ = task.next;
        task = WaitingTask{};
        return TaskId{place};
    }
    const Place where = locate(used_);
    require(where.chunk < kChunks);
    if (chunks_[where.chunk] == nullptr) {
        const std::size_t octets = (std::size_t{kFirstChunk} << where.chunk) * sizeof(WaitingTask);
        chunks_[where.chunk] = static_cast<WaitingTask*>(::operator new(octets));
    }
    ::new (chunks_[where.chunk] + where.offset) WaitingTask{};
    return TaskId{used_++};
}

void TaskSlab::erase(TaskId id) {
    const auto place = static_cast<std::uint32_t>(id);
    WaitingTask& task = *at(place);
    task.attachment.reset();
    task.lane = kFree;
    task.next = first_free_;
    first_free_ = place;
    if (--size_ == 0) {
        first_free_ = kFree;
        used_ = 0;  // WaitingTask has nothing left to destroy: every attachment is gone
        release_chunks(1);
    }
}

void TaskSlab::clear() {
    for (std::uint32_t place = 0; place < used_; ++place) at(place)->~WaitingTask();
    release_chunks(0);
}

void TaskSlab::release_chunks(std::size_t keep) {
    for (std::size_t chunk = keep; chunk < kChunks; ++chunk) {
        ::operator delete(chunks_[chunk]);
        chunks_[chunk] = nullptr;
    }
}

std::size_t TaskSlab::memory_octets() const { return used_ * sizeof(WaitingTask); }

}  // namespace postfleet::schedule
