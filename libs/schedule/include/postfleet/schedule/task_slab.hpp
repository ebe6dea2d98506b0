// TaskSlab: the waiting tasks of one queue, 88 octets each, in chunks that never move.
//
// A TaskId is stable while its task is in the slab; afterwards the id is used again. Chunks double in size and
// their memory is touched only as it is used; when the last task leaves, everything but the first chunk is
// given back. Threads: externally locked (the queue's mutex).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "postfleet/base/require.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::schedule {

// What the owner of a task keeps with it while it is hot (content in memory). Freed with the task.
class Attachment {
public:
    virtual ~Attachment() = default;
};

enum class TaskId : std::uint32_t {};
inline constexpr TaskId kNoTask{UINT32_MAX};

enum class TaskState : std::uint8_t {
    Ready,     // in its lane: may go now
    Waiting,   // in the heap: goes when it is due
    InFlight,  // taken: a transaction, or its result on the way to the spool
    Held,      // an order holds it, whatever its due time
};

inline constexpr WallTime kNever = WallTime::max();

struct WaitingTask {
    TaskKey key;
    std::uint32_t lane = 0;
    WallTime due{};
    WallTime accepted_at{};
    WallTime deadline = kNever;  // the submitter's own, if given
    std::unique_ptr<Attachment> attachment;
    std::uint32_t domain = 0;  // the owner's number for the recipient domain
    std::uint32_t recipients = 1;
    std::uint32_t next = 0, previous = 0;  // in the lane, or in the free list
    std::uint32_t heap_position = 0;       // Held: the number of the order that holds it
    std::uint16_t attempts = 0;            // most of any recipient
    TaskState state = TaskState::Ready;
    bool shares_message = false;  // other tasks of the same message may exist
    bool is_claimed = false;      // in flight, but with no session: what becomes of it is on its way to the spool
};
static_assert(sizeof(WaitingTask) <= 88);

class TaskSlab final {
public:
    TaskSlab() = default;
    ~TaskSlab() { clear(); }
    TaskSlab(const TaskSlab&) = delete;
    TaskSlab& operator=(const TaskSlab&) = delete;

    TaskId insert();
    void erase(TaskId id);
    WaitingTask& operator[](TaskId id) { return *at(static_cast<std::uint32_t>(id)); }
    const WaitingTask& operator[](TaskId id) const { return *at(static_cast<std::uint32_t>(id)); }

    // Whether this id names a task now.
    bool is_there(TaskId id) const {
        const auto place = static_cast<std::uint32_t>(id);
        return place < used_ && is_living(place);
    }

    std::size_t size() const { return size_; }
    std::size_t memory_octets() const;

    // Calls visit(TaskId, WaitingTask&) for the living among at most `most` places, starting at place `from`;
    // answers the place to go on from, 0 at the end. visit must not insert or erase; between two slices that may
    // happen.
    template <class Visit>
    std::uint32_t visit(std::uint32_t from, std::uint32_t most, Visit&& visit) {
        if (from >= used_) return 0;
        const std::uint32_t end = used_ - from > most ? from + most : used_;
        for (std::uint32_t place = from; place < end; ++place) {
            if (is_living(place)) visit(TaskId{place}, *at(place));
        }
        return end == used_ ? 0 : end;
    }

private:
    static constexpr std::uint32_t kFirstChunk = 8;
    static constexpr std::size_t kChunks = 28;
    static constexpr std::uint32_t kFree = UINT32_MAX;  // in `lane`: this place is in the free list

    struct Place {
        std::size_t chunk;
        std::uint32_t offset;
    };
    // Chunk k holds 8 << k places.
    static Place locate(std::uint32_t place) {
        const auto chunk = static_cast<std::size_t>(std::bit_width(place / kFirstChunk + 1) - 1);
        return {chunk, place - ((kFirstChunk << chunk) - kFirstChunk)};
    }
    WaitingTask* at(std::uint32_t place) const {
        const Place where = locate(place);
        return chunks_[where.chunk] + where.offset;
    }
    bool is_living(std::uint32_t place) const { return at(place)->lane != kFree; }
    void clear();
    void release_chunks(std::size_t keep);

    std::array<WaitingTask*, kChunks> chunks_{};
    std::uint32_t used_ = 0;  // places that were ever constructed
    std::uint32_t first_free_ = kFree;
    std::size_t size_ = 0;
};

}  // namespace postfleet::schedule
