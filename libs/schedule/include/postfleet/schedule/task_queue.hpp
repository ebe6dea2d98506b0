// TaskQueue: when the tasks of one queue `site/vmta` go, and in which order.
//
//            add, due ──────────────▶ Ready ──take──▶ InFlight ──finish──▶ gone
//            add, later ─▶ Waiting ──wake_due──▶ ▲        │ put_back, defer
//                             ▲──────────────────┴────────┘
//            add, held; Ready, Waiting, InFlight ──hold──▶ Held ──release──▶ Ready, Waiting
//
// Ready tasks stand in lanes, one per (destination, priority, tenant, job), each first in, first out. take()
// chooses among the lanes of one destination:
//
//   priority  a higher one first; a lower one that was passed over kStarvationBound times goes once
//   tenant    deficit round robin, so each tenant of a priority sends the same number of recipients
//   job       deficit round robin within the tenant
//
// so a small job waits for about one task of every other lane, however long those are. The unit is the
// recipient; a lane that overdraws its deficit with a large task waits until it has paid it back.
// Waiting tasks stand in a heap by due time; the owner needs one timer for all of them (next_due).
//
// A destination is the owner's number for "what one session can deliver" (an MX set); numbers are dense.
// Cost: take, add, defer O(log n) at most; 92 octets per waiting task and about 150 per lane in use.
// Threads: externally locked. Time comes in as an argument. Errors: none; a wrong state is a bug.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "postfleet/schedule/round_robin.hpp"
#include "postfleet/schedule/task_slab.hpp"

namespace postfleet::schedule {

struct NewTask {
    TaskKey key;
    WallTime due{};
    WallTime accepted_at{};
    WallTime deadline = kNever;
    std::uint32_t domain = 0;
    std::uint32_t destination = 0;
    std::uint32_t recipients = 1;
    std::uint16_t attempts = 0;
    Priority priority = Priority::Normal;
    bool shares_message = false;
    std::uint32_t held_by = 0;  // the order that holds it from the beginning; 0: none
    std::string_view tenant, job;
    std::unique_ptr<Attachment> attachment;
};

class TaskQueue final {
public:
    static constexpr std::uint32_t kStarvationBound = 16;

    // Ready if it is due, else Waiting.
    TaskId add(NewTask&& task, WallTime now);
    // The next ready task for a session of this destination; it is InFlight then.
    std::optional<TaskId> take(std::uint32_t destination);
    // Another task of the message of `id`, which is InFlight, if it is the next in its lane; it is InFlight then, too.
    std::optional<TaskId> take_companion(TaskId id);
    // Ready, Waiting or Held → InFlight, out of turn (expiry, an operator's order).
    void claim(TaskId id);

    // InFlight → the front of its lane: nothing was tried.
    void put_back(TaskId id);
    // InFlight → Waiting until `due`, or Ready.
    void defer(TaskId id, WallTime due, WallTime now);
    // InFlight → gone.
    void finish(TaskId id);
    // Any state → Held, by this order (not 0). What it had in memory goes.
    void hold(TaskId id, std::uint32_t by);
    // Held → Ready, or Waiting.
    void release(TaskId id, WallTime now);
    std::uint32_t holder_of(TaskId id) const;
    // InFlight stays in flight with fewer recipients.
    void set_recipients(TaskId id, std::uint32_t recipients);

    // Waiting → Ready for at most `most` tasks that are due; calls woken(TaskId) for each and answers how many.
    template <class Woken>
    std::size_t wake_due(WallTime now, std::size_t most, Woken&& woken) {
        std::size_t n = 0;
        for (; n < most && !heap_.empty() && slab_[heap_.front()].due <= now; ++n) {
            const TaskId id = heap_.front();
            wake(id, now);
            woken(id);
        }
        return n;
    }
    std::size_t wake_due(WallTime now, std::size_t most) {
        return wake_due(now, most, [](TaskId) {});
    }
    std::optional<WallTime> next_due() const;
    // Waiting → Ready, before its time.
    void wake(TaskId id, WallTime now);
    // Moves a task to another destination, in any state; in its new lane it is the last.
    void set_destination(TaskId id, std::uint32_t destination);

    // Some ready task, which stays where it is.
    std::optional<TaskId> any_ready(std::uint32_t destination) const;
    bool has_ready(std::uint32_t destination) const;
    std::uint64_t ready_tasks(std::uint32_t destination) const;
    // Whether `id` names the task of this key still: ids are used again.
    bool is_still(TaskId id, const TaskKey& key) const { return slab_.is_there(id) && slab_[id].key == key; }
    std::uint32_t destination_of(TaskId id) const;
    std::string_view tenant_of(TaskId id) const;
    std::string_view job_of(TaskId id) const;
    Priority priority_of(TaskId id) const;
    const WaitingTask& operator[](TaskId id) const { return slab_[id]; }
    WaitingTask& operator[](TaskId id) { return slab_[id]; }

    struct Counts {
        std::uint64_t ready = 0, waiting = 0, in_flight = 0, held = 0;  // recipients
        std::uint64_t tasks = 0;
    };
    Counts counts() const { return {recipients_[0], recipients_[1], recipients_[2], recipients_[3], slab_.size()}; }
    bool is_empty() const { return slab_.size() == 0; }
    std::size_t memory_octets() const;

    // Calls visit(destination) for each destination that has ready tasks, until it answers false; only a visit that
    // does may change anything. The first one is another one each time, so that none is always last.
    template <class Visit>
    void visit_ready_destinations(Visit&& visit) {
        const std::size_t n = ready_destinations_.size();
        for (std::size_t i = 0; i < n; ++i) {
            if (!visit(ready_destinations_[(first_destination_ + i) % n])) break;
        }
        if (n > 0) first_destination_ = (first_destination_ + 1) % n;
    }
    // By number: tasks of it exist, in whatever state. As far as the last one that was ever used.
    std::vector<bool> destinations_in_use() const;
    std::span<const std::uint32_t> ready_destinations() const { return ready_destinations_; }
    template <class Visit>
    std::uint32_t visit_tasks(std::uint32_t from, std::uint32_t most, Visit&& visit) {
        return slab_.visit(from, most, std::forward<Visit>(visit));
    }

private:
    static constexpr std::uint32_t kNone = UINT32_MAX;

    struct Lane {
        bool is_idle() const { return head == kNone; }
        Round round;
        std::uint32_t tenant = kNone;
        std::uint32_t head = kNone, tail = kNone;  // ready tasks
        std::uint32_t tasks = 0;                   // in any state
        std::string job;
    };
    struct Tenant {
        bool is_idle() const { return ready_tasks == 0; }
        Round round;
        Ring lanes;
        std::uint32_t destination = 0;
        Priority priority = Priority::Normal;
        std::uint64_t ready_tasks = 0;
        std::uint32_t lanes_in_use = 0;  // 0: free
        std::string name;
    };
    struct PriorityClass {
        Ring tenants;
        std::uint64_t ready_tasks = 0;
        std::uint32_t passed_over = 0;
    };
    struct Destination {
        std::array<PriorityClass, kPriorities> classes;
        std::uint64_t ready_tasks = 0;
        std::uint32_t position = 0;  // in ready_destinations_, while there are ready tasks
    };
    struct LaneName {
        std::uint32_t destination;
        Priority priority;
        std::string_view tenant, job;
    };

    std::uint32_t find_lane(const LaneName& name);
    std::uint32_t find_tenant(const LaneName& name);
    std::uint32_t make_lane(const LaneName& name, std::size_t hash);
    void release_lane(std::uint32_t lane);
    void free_lane(std::uint32_t lane);
    LaneName name_of(const Lane& lane) const;
    static std::size_t hash_of(const LaneName& name);
    static std::size_t tenant_hash_of(const LaneName& name);
    static void forget(std::unordered_multimap<std::size_t, std::uint32_t>& index, std::size_t hash,
                       std::uint32_t number);
    void count_ready(Destination& destination, std::uint32_t number);
    void count_not_ready(Destination& destination);

    PriorityClass* choose_class(Destination& destination);
    enum class End { Front, Back };
    void enter(TaskId id, TaskState state, End end);  // from nowhere into lane, heap or flight
    void leave(TaskId id);                            // and out of it again
    void link(TaskId id, End end);
    void unlink(TaskId id);
    void heap_insert(TaskId id);
    void heap_remove(TaskId id);
    void sift_up(std::size_t position);
    void sift_down(std::size_t position);
    void put_in_heap(std::size_t position, TaskId id);

    TaskSlab slab_;
    std::vector<TaskId> heap_;
    std::vector<Destination> destinations_;
    std::vector<std::uint32_t> ready_destinations_;
    std::vector<Tenant> tenants_;
    std::vector<Lane> lanes_;
    std::vector<std::uint32_t> free_tenants_, free_lanes_;
    std::unordered_multimap<std::size_t, std::uint32_t> lane_index_;  // hash of the name → lane
    std::unordered_multimap<std::size_t, std::uint32_t> tenant_index_;
    std::uint32_t last_lane_ = kNone;  // where the task before went: mostly the same one
    std::size_t first_destination_ = 0;
    std::array<std::uint64_t, 4> recipients_{};  // by TaskState
};

}  // namespace postfleet::schedule
