#include "postfleet/schedule/task_queue.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace postfleet::schedule {

namespace {

constexpr std::size_t index_of(TaskState state) { return static_cast<std::size_t>(state); }
constexpr std::size_t index_of(Priority priority) { return static_cast<std::size_t>(priority); }

}  // namespace

// --- life of a task ------------------------------------------------------------------------------------

TaskId TaskQueue::add(NewTask&& task, WallTime now) {
    const std::uint32_t lane = find_lane({task.destination, task.priority, task.tenant, task.job});
    const TaskId id = slab_.insert();
    WaitingTask& entry = slab_[id];
    entry.key = task.key;
    entry.lane = lane;
    entry.due = task.due;
    entry.accepted_at = task.accepted_at;
    entry.deadline = task.deadline;
    if (task.held_by == 0) entry.attachment = std::move(task.attachment);
    entry.domain = task.domain;
    entry.recipients = task.recipients;
    entry.attempts = task.attempts;
    entry.shares_message = task.shares_message;
    ++lanes_[lane].tasks;
    entry.heap_position = task.held_by;
    const TaskState usual = task.due <= now ? TaskState::Ready : TaskState::Waiting;
    enter(id, task.held_by != 0 ? TaskState::Held : usual, End::Back);
    return id;
}

std::optional<TaskId> TaskQueue::take(std::uint32_t destination) {
    if (!has_ready(destination)) return std::nullopt;
    PriorityClass* const chosen = choose_class(destinations_[destination]);
    const std::uint32_t tenant_number = next_in_round(chosen->tenants, tenants_);
    Tenant& tenant = tenants_[tenant_number];
    Lane& lane = lanes_[next_in_round(tenant.lanes, lanes_)];
    const TaskId id{lane.head};
    const std::int64_t cost = slab_[id].recipients;
    tenant.round.deficit -= cost;
    lane.round.deficit -= cost;
    claim(id);
    return id;
}

std::optional<TaskId> TaskQueue::take_companion(TaskId id) {
    require(slab_[id].state == TaskState::InFlight);
    Lane& lane = lanes_[slab_[id].lane];
    if (lane.is_idle()) return std::nullopt;
    const TaskId next{lane.head};
    if (slab_[next].key.message != slab_[id].key.message) return std::nullopt;
    const std::int64_t cost = slab_[next].recipients;
    tenants_[lane.tenant].round.deficit -= cost;
    lane.round.deficit -= cost;
    claim(next);
    return next;
}

void TaskQueue::claim(TaskId id) {
    require(slab_[id].state != TaskState::InFlight);
    leave(id);
    enter(id, TaskState::InFlight, End::Back);
}

void TaskQueue::put_back(TaskId id) {
    require(slab_[id].state == TaskState::InFlight);
    leave(id);
    Lane& lane = lanes_[slab_[id].lane];
    lane.round.deficit += slab_[id].recipients;
    tenants_[lane.tenant].round.deficit += slab_[id].recipients;
    slab_[id].is_claimed = false;
    enter(id, TaskState::Ready, End::Front);
}

void TaskQueue::defer(TaskId id, WallTime due, WallTime now) {
    require(slab_[id].state == TaskState::InFlight);
    leave(id);
    slab_[id].due = due;
    slab_[id].is_claimed = false;
    enter(id, due <= now ? TaskState::Ready : TaskState::Waiting, End::Back);
}

void TaskQueue::hold(TaskId id, std::uint32_t by) {
    require(by != 0);
    leave(id);
    WaitingTask& task = slab_[id];
    task.attachment.reset();
    task.heap_position = by;
    task.is_claimed = false;
    enter(id, TaskState::Held, End::Back);
}

void TaskQueue::release(TaskId id, WallTime now) {
    require(slab_[id].state == TaskState::Held);
    leave(id);
    enter(id, slab_[id].due <= now ? TaskState::Ready : TaskState::Waiting, End::Back);
}

std::uint32_t TaskQueue::holder_of(TaskId id) const {
    return slab_[id].state == TaskState::Held ? slab_[id].heap_position : 0;
}

void TaskQueue::finish(TaskId id) {
    require(slab_[id].state == TaskState::InFlight);
    leave(id);
    release_lane(slab_[id].lane);
    slab_.erase(id);
}

void TaskQueue::set_recipients(TaskId id, std::uint32_t recipients) {
    WaitingTask& task = slab_[id];
    require(task.state == TaskState::InFlight);
    recipients_[index_of(TaskState::InFlight)] += recipients;
    recipients_[index_of(TaskState::InFlight)] -= task.recipients;
    task.recipients = recipients;
}

void TaskQueue::wake(TaskId id, WallTime now) {
    require(slab_[id].state == TaskState::Waiting);
    leave(id);
    if (slab_[id].due > now) slab_[id].due = now;
    enter(id, TaskState::Ready, End::Back);
}

std::optional<WallTime> TaskQueue::next_due() const {
    if (heap_.empty()) return std::nullopt;
    return slab_[heap_.front()].due;
}

void TaskQueue::set_destination(TaskId id, std::uint32_t destination) {
    const std::uint32_t old_lane = slab_[id].lane;
    LaneName name = name_of(lanes_[old_lane]);
    if (name.destination == destination) return;
    name.destination = destination;
    const TaskState state = slab_[id].state;
    leave(id);
    // The name's views stand in the old lane and its tenant, which are released only after the new lane is made
    // from copies of them.
    const std::string tenant(name.tenant), job(name.job);
    name.tenant = tenant;
    name.job = job;
    const std::uint32_t lane = find_lane(name);
    ++lanes_[lane].tasks;
    slab_[id].lane = lane;
    release_lane(old_lane);
    enter(id, state, End::Back);
}

void TaskQueue::enter(TaskId id, TaskState state, End end) {
    WaitingTask& task = slab_[id];
    task.state = state;
    recipients_[index_of(state)] += task.recipients;
    if (state == TaskState::Ready) link(id, end);
    if (state == TaskState::Waiting) heap_insert(id);
}

void TaskQueue::leave(TaskId id) {
    const WaitingTask& task = slab_[id];
    recipients_[index_of(task.state)] -= task.recipients;
    if (task.state == TaskState::Ready) unlink(id);
    if (task.state == TaskState::Waiting) heap_remove(id);
}

// --- lanes ---------------------------------------------------------------------------------------------

std::size_t TaskQueue::tenant_hash_of(const LaneName& name) {
    const std::size_t small = name.destination * kPriorities + index_of(name.priority);
    return (small * 0x9e3779b97f4a7c15ull) ^ std::hash<std::string_view>()(name.tenant);
}

std::size_t TaskQueue::hash_of(const LaneName& name) {
    return tenant_hash_of(name) * 0x9e3779b97f4a7c15ull ^ std::hash<std::string_view>()(name.job);
}

void TaskQueue::forget(std::unordered_multimap<std::size_t, std::uint32_t>& index, std::size_t hash,
                       std::uint32_t number) {
    const auto [begin, end] = index.equal_range(hash);
    const auto found = std::find_if(begin, end, [&](const auto& entry) { return entry.second == number; });
    if (found != end) index.erase(found);
}

TaskQueue::LaneName TaskQueue::name_of(const Lane& lane) const {
    const Tenant& tenant = tenants_[lane.tenant];
    return {tenant.destination, tenant.priority, tenant.name, lane.job};
}

std::uint32_t TaskQueue::find_lane(const LaneName& name) {
    const auto is_it = [&](std::uint32_t lane) {
        const LaneName other = name_of(lanes_[lane]);
        return other.destination == name.destination && other.priority == name.priority &&
               other.tenant == name.tenant && other.job == name.job;
    };
    if (last_lane_ != kNone && is_it(last_lane_)) return last_lane_;
    const std::size_t hash = hash_of(name);
    const auto [begin, end] = lane_index_.equal_range(hash);
    std::uint32_t found = kNone;
    for (auto it = begin; it != end && found == kNone; ++it) {
        if (is_it(it->second)) found = it->second;
    }
    if (found == kNone) found = make_lane(name, hash);
    const std::uint32_t before = std::exchange(last_lane_, found);
    if (before != kNone && lanes_[before].tasks == 0) free_lane(before);
    return found;
}

std::uint32_t TaskQueue::make_lane(const LaneName& name, std::size_t hash) {
    std::uint32_t number;
    if (free_lanes_.empty()) {
        number = static_cast<std::uint32_t>(lanes_.size());
        lanes_.emplace_back();
    } else {
        number = free_lanes_.back();
        free_lanes_.pop_back();
    }
    Lane& lane = lanes_[number];
    lane.tenant = find_tenant(name);
    lane.job.assign(name.job);
    ++tenants_[lane.tenant].lanes_in_use;
    lane_index_.emplace(hash, number);
    return number;
}

std::uint32_t TaskQueue::find_tenant(const LaneName& name) {
    const std::size_t hash = tenant_hash_of(name);
    const auto [begin, end] = tenant_index_.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
        const Tenant& tenant = tenants_[it->second];
        if (tenant.destination == name.destination && tenant.priority == name.priority && tenant.name == name.tenant) {
            return it->second;
        }
    }
    std::uint32_t number;
    if (free_tenants_.empty()) {
        number = static_cast<std::uint32_t>(tenants_.size());
        tenants_.emplace_back();
    } else {
        number = free_tenants_.back();
        free_tenants_.pop_back();
    }
    Tenant& tenant = tenants_[number];
    tenant.name.assign(name.tenant);
    tenant.destination = name.destination;
    tenant.priority = name.priority;
    tenant_index_.emplace(hash, number);
    if (destinations_.size() <= name.destination) destinations_.resize(name.destination + 1);
    return number;
}

// The lane that was used last is kept when it runs empty: a queue that keeps up with its mail empties and
// fills the same lane with every message.
void TaskQueue::release_lane(std::uint32_t number) {
    if (--lanes_[number].tasks == 0 && number != last_lane_) free_lane(number);
}

void TaskQueue::free_lane(std::uint32_t number) {
    Lane& lane = lanes_[number];
    const LaneName name = name_of(lane);
    forget(lane_index_, hash_of(name), number);
    // A member of a ring stays in it until its turn comes, so that a lane which empties and fills again all
    // the time keeps its debts; a released one must leave at once.
    Tenant& tenant = tenants_[lane.tenant];
    remove_from_round(tenant.lanes, lanes_, number);
    if (--tenant.lanes_in_use == 0) {
        remove_from_round(destinations_[tenant.destination].classes[index_of(tenant.priority)].tenants, tenants_,
                          lane.tenant);
        forget(tenant_index_, tenant_hash_of(name), lane.tenant);
        free_tenants_.push_back(lane.tenant);
        tenant = Tenant{};
    }
    free_lanes_.push_back(number);
    lane = Lane{};
}

void TaskQueue::link(TaskId id, End end) {
    WaitingTask& task = slab_[id];
    const auto place = static_cast<std::uint32_t>(id);
    const std::uint32_t lane_number = task.lane;
    Lane& lane = lanes_[lane_number];
    task.next = task.previous = kNone;
    if (lane.head == kNone) {
        lane.head = lane.tail = place;
    } else if (end == End::Back) {
        task.previous = lane.tail;
        slab_[TaskId{lane.tail}].next = place;
        lane.tail = place;
    } else {
        task.next = lane.head;
        slab_[TaskId{lane.head}].previous = place;
        lane.head = place;
    }
    Tenant& tenant = tenants_[lane.tenant];
    Destination& destination = destinations_[tenant.destination];
    PriorityClass& priority = destination.classes[index_of(tenant.priority)];
    join_round(tenant.lanes, lanes_, lane_number);
    join_round(priority.tenants, tenants_, lane.tenant);
    ++tenant.ready_tasks;
    ++priority.ready_tasks;
    count_ready(destination, tenant.destination);
}

std::vector<bool> TaskQueue::destinations_in_use() const {
    std::vector<bool> in_use(destinations_.size());
    for (const Lane& lane : lanes_) {
        if (lane.tasks > 0) in_use[tenants_[lane.tenant].destination] = true;
    }
    return in_use;
}

void TaskQueue::count_ready(Destination& destination, std::uint32_t number) {
    if (destination.ready_tasks++ > 0) return;
    destination.position = static_cast<std::uint32_t>(ready_destinations_.size());
    ready_destinations_.push_back(number);
}

void TaskQueue::count_not_ready(Destination& destination) {
    if (--destination.ready_tasks > 0) return;
    const std::uint32_t last = ready_destinations_.back();
    ready_destinations_[destination.position] = last;
    destinations_[last].position = destination.position;
    ready_destinations_.pop_back();
}

void TaskQueue::unlink(TaskId id) {
    const WaitingTask& task = slab_[id];
    Lane& lane = lanes_[task.lane];
    (task.previous == kNone ? lane.head : slab_[TaskId{task.previous}].next) = task.next;
    (task.next == kNone ? lane.tail : slab_[TaskId{task.next}].previous) = task.previous;
    Tenant& tenant = tenants_[lane.tenant];
    Destination& destination = destinations_[tenant.destination];
    --tenant.ready_tasks;
    --destination.classes[index_of(tenant.priority)].ready_tasks;
    count_not_ready(destination);
}

// --- round robin ---------------------------------------------------------------------------------------

TaskQueue::PriorityClass* TaskQueue::choose_class(Destination& destination) {
    PriorityClass* chosen = nullptr;
    for (PriorityClass& priority : destination.classes) {
        if (priority.ready_tasks == 0) continue;
        if (chosen == nullptr) {
            chosen = &priority;
        } else if (++priority.passed_over >= kStarvationBound) {
            chosen = &priority;
            break;
        }
    }
    chosen->passed_over = 0;
    return chosen;
}

// --- heap by due time ----------------------------------------------------------------------------------

void TaskQueue::put_in_heap(std::size_t position, TaskId id) {
    heap_[position] = id;
    slab_[id].heap_position = static_cast<std::uint32_t>(position);
}

void TaskQueue::heap_insert(TaskId id) {
    heap_.push_back(id);
    put_in_heap(heap_.size() - 1, id);
    sift_up(heap_.size() - 1);
}

void TaskQueue::heap_remove(TaskId id) {
    const std::size_t position = slab_[id].heap_position;
    const TaskId last = heap_.back();
    heap_.pop_back();
    if (last == id) return;
    put_in_heap(position, last);
    sift_up(position);
    sift_down(slab_[last].heap_position);
}

void TaskQueue::sift_up(std::size_t position) {
    const TaskId id = heap_[position];
    const WallTime due = slab_[id].due;
    while (position > 0) {
        const std::size_t parent = (position - 1) / 2;
        if (slab_[heap_[parent]].due <= due) break;
        put_in_heap(position, heap_[parent]);
        position = parent;
    }
    put_in_heap(position, id);
}

void TaskQueue::sift_down(std::size_t position) {
    const TaskId id = heap_[position];
    const WallTime due = slab_[id].due;
    for (;;) {
        std::size_t child = position * 2 + 1;
        if (child >= heap_.size()) break;
        if (child + 1 < heap_.size() && slab_[heap_[child + 1]].due < slab_[heap_[child]].due) ++child;
        if (slab_[heap_[child]].due >= due) break;
        put_in_heap(position, heap_[child]);
        position = child;
    }
    put_in_heap(position, id);
}

// --- questions -----------------------------------------------------------------------------------------

std::optional<TaskId> TaskQueue::any_ready(std::uint32_t destination) const {
    if (!has_ready(destination)) return std::nullopt;
    for (const PriorityClass& priority : destinations_[destination].classes) {
        for (std::uint32_t t = priority.tenants.first; t != kNone; t = tenants_[t].round.next) {
            for (std::uint32_t l = tenants_[t].lanes.first; l != kNone; l = lanes_[l].round.next) {
                if (!lanes_[l].is_idle()) return TaskId{lanes_[l].head};
            }
        }
    }
    return std::nullopt;
}

bool TaskQueue::has_ready(std::uint32_t destination) const { return ready_tasks(destination) > 0; }

std::uint64_t TaskQueue::ready_tasks(std::uint32_t destination) const {
    return destination < destinations_.size() ? destinations_[destination].ready_tasks : 0;
}

std::uint32_t TaskQueue::destination_of(TaskId id) const { return name_of(lanes_[slab_[id].lane]).destination; }
std::string_view TaskQueue::tenant_of(TaskId id) const { return name_of(lanes_[slab_[id].lane]).tenant; }
std::string_view TaskQueue::job_of(TaskId id) const { return lanes_[slab_[id].lane].job; }
Priority TaskQueue::priority_of(TaskId id) const { return name_of(lanes_[slab_[id].lane]).priority; }

std::size_t TaskQueue::memory_octets() const {
    return slab_.memory_octets() + heap_.capacity() * sizeof(TaskId) + lanes_.capacity() * sizeof(Lane) +
           tenants_.capacity() * sizeof(Tenant) + destinations_.capacity() * sizeof(Destination) +
           (lane_index_.size() + tenant_index_.size()) * 32 +
           (lane_index_.bucket_count() + tenant_index_.bucket_count()) * sizeof(void*);
}

}  // namespace postfleet::schedule
