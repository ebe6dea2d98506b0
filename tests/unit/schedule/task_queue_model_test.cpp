// TaskQueue against a slow, obvious model: random operations, everything compared after each.

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <random>

#include "postfleet/schedule/task_queue.hpp"

using namespace postfleet;
using namespace postfleet::schedule;

namespace {

struct LaneName {
    std::uint32_t destination;
    Priority priority;
    std::string tenant, job;
    auto operator<=>(const LaneName&) const = default;
};

struct ModelTask {
    LaneName lane;
    WallTime due;
    std::uint32_t recipients = 1;
    TaskState state = TaskState::Ready;
};

struct Model {
    std::map<TaskId, ModelTask> tasks;
    std::map<LaneName, std::deque<TaskId>> lanes;

    void make_ready(TaskId id) { lanes[tasks[id].lane].push_back(id); }
    void drop_ready(TaskId id) {
        auto& lane = lanes[tasks[id].lane];
        lane.erase(std::find(lane.begin(), lane.end(), id));
    }
    TaskQueue::Counts counts() const {
        TaskQueue::Counts out;
        for (const auto& [id, task] : tasks) {
            (task.state == TaskState::Ready     ? out.ready
             : task.state == TaskState::Waiting ? out.waiting
             : task.state == TaskState::Held    ? out.held
                                                : out.in_flight) += task.recipients;
        }
        out.tasks = tasks.size();
        return out;
    }
    std::optional<WallTime> next_due() const {
        std::optional<WallTime> out;
        for (const auto& [id, task] : tasks) {
            if (task.state == TaskState::Waiting && (!out || task.due < *out)) out = task.due;
        }
        return out;
    }
};

class Run {
public:
    explicit Run(std::uint32_t seed) : random_(seed) {}

    void step() {
        switch (number(13)) {
            case 0:
            case 1:
            case 2: add(); break;
            case 3:
            case 4: take(); break;
            case 5:
                if (auto id = pick(TaskState::InFlight)) finish(*id);
                break;
            case 6:
                if (auto id = pick(TaskState::InFlight)) put_back(*id);
                break;
            case 7:
                if (auto id = pick(TaskState::InFlight)) defer(*id);
                break;
            case 8: wake_due(); break;
            case 9:
                if (auto id = pick(TaskState::Waiting)) wake(*id);
                break;
            case 10: claim_or_move(); break;
            case 11: hold(); break;
            case 12:
                if (auto id = pick(TaskState::Held)) release(*id);
                break;
        }
        compare();
    }

private:
    std::uint32_t number(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }

    // No two alike, so that the order of waking is fully determined.
    WallTime::duration some_time(std::uint32_t below_seconds) {
        return std::chrono::seconds(number(below_seconds)) + std::chrono::microseconds(++ticks_);
    }

    std::optional<TaskId> pick(TaskState state) {
        std::vector<TaskId> of_state;
        for (const auto& [id, task] : model_.tasks) {
            if (task.state == state) of_state.push_back(id);
        }
        if (of_state.empty()) return std::nullopt;
        return of_state[number(static_cast<std::uint32_t>(of_state.size()))];
    }

    void add() {
        ModelTask task{{number(2), Priority{static_cast<std::uint8_t>(number(3))}, "t" + std::to_string(number(3)),
                        "j" + std::to_string(number(4))},
                       now_ + some_time(20) - std::chrono::seconds(10),
                       1 + number(5)};
        NewTask entry;
        entry.destination = task.lane.destination;
        entry.priority = task.lane.priority;
        entry.tenant = task.lane.tenant;
        entry.job = task.lane.job;
        entry.due = task.due;
        entry.recipients = task.recipients;
        if (number(8) == 0) entry.held_by = 7;
        const bool is_held = entry.held_by != 0;
        const TaskId id = queue_.add(std::move(entry), now_);
        REQUIRE(model_.tasks.count(id) == 0);
        task.state = is_held ? TaskState::Held : task.due <= now_ ? TaskState::Ready : TaskState::Waiting;
        model_.tasks[id] = task;
        if (task.state == TaskState::Ready) model_.make_ready(id);
    }
    void take() {
        const std::uint32_t destination = number(2);
        const auto id = queue_.take(destination);
        bool any = false;
        for (const auto& [name, lane] : model_.lanes) any |= name.destination == destination && !lane.empty();
        REQUIRE(id.has_value() == any);
        if (!id) return;
        ModelTask& task = model_.tasks.at(*id);
        auto& lane = model_.lanes[task.lane];
        REQUIRE(task.lane.destination == destination);
        REQUIRE(lane.front() == *id);  // first in, first out
        lane.pop_front();
        task.state = TaskState::InFlight;
    }
    void finish(TaskId id) {
        queue_.finish(id);
        model_.tasks.erase(id);
    }
    void put_back(TaskId id) {
        queue_.put_back(id);
        model_.tasks[id].state = TaskState::Ready;
        model_.lanes[model_.tasks[id].lane].push_front(id);
    }
    void defer(TaskId id) {
        ModelTask& task = model_.tasks[id];
        task.due = now_ + some_time(30);
        task.recipients = 1 + number(task.recipients);
        queue_.set_recipients(id, task.recipients);
        queue_.defer(id, task.due, now_);
        task.state = task.due <= now_ ? TaskState::Ready : TaskState::Waiting;
        if (task.state == TaskState::Ready) model_.make_ready(id);
    }
    void hold() {
        const auto id = pick(static_cast<TaskState>(number(4)));
        if (!id) return;
        ModelTask& task = model_.tasks[*id];
        if (task.state == TaskState::Ready) model_.drop_ready(*id);
        const std::uint32_t by = 1 + number(5);
        queue_.hold(*id, by);
        REQUIRE(queue_.holder_of(*id) == by);
        task.state = TaskState::Held;
    }
    void release(TaskId id) {
        queue_.release(id, now_);
        REQUIRE(queue_.holder_of(id) == 0);
        ModelTask& task = model_.tasks[id];
        task.state = task.due <= now_ ? TaskState::Ready : TaskState::Waiting;
        if (task.state == TaskState::Ready) model_.make_ready(id);
    }
    void wake_due() {
        now_ += std::chrono::seconds(number(5));
        std::multimap<WallTime, TaskId> due;
        for (const auto& [id, task] : model_.tasks) {
            if (task.state == TaskState::Waiting && task.due <= now_) due.emplace(task.due, id);
        }
        REQUIRE(queue_.wake_due(now_, 1000) == due.size());
        for (const auto& [when, id] : due) {
            model_.tasks[id].state = TaskState::Ready;
            model_.make_ready(id);
        }
    }
    void wake(TaskId id) {
        queue_.wake(id, now_);
        model_.tasks[id].state = TaskState::Ready;
        model_.tasks[id].due = std::min(model_.tasks[id].due, now_);
        model_.make_ready(id);
    }
    void claim_or_move() {
        constexpr TaskState kStates[] = {TaskState::Ready, TaskState::Waiting, TaskState::Held};
        const TaskState state = kStates[number(3)];
        const auto id = pick(state);
        if (!id) return;
        ModelTask& task = model_.tasks[*id];
        if (number(2) == 0) {
            if (state == TaskState::Ready) model_.drop_ready(*id);
            queue_.claim(*id);
            task.state = TaskState::InFlight;
        } else {
            const std::uint32_t destination = number(2);
            if (destination == task.lane.destination) return;
            if (state == TaskState::Ready) model_.drop_ready(*id);
            queue_.set_destination(*id, destination);
            task.lane.destination = destination;
            if (state == TaskState::Ready) model_.make_ready(*id);
        }
    }
    void compare() {
        const TaskQueue::Counts is = queue_.counts(), should = model_.counts();
        REQUIRE(is.ready == should.ready);
        REQUIRE(is.waiting == should.waiting);
        REQUIRE(is.in_flight == should.in_flight);
        REQUIRE(is.held == should.held);
        REQUIRE(is.tasks == should.tasks);
        REQUIRE(queue_.next_due() == model_.next_due());
        std::size_t visited = 0;
        for (std::uint32_t from = 0;;) {
            from = queue_.visit_tasks(from, 7, [&](TaskId id, WaitingTask& task) {
                ++visited;
                const ModelTask& other = model_.tasks.at(id);
                REQUIRE(task.state == other.state);
                REQUIRE(queue_.tenant_of(id) == other.lane.tenant);
                REQUIRE(queue_.job_of(id) == other.lane.job);
                REQUIRE(queue_.destination_of(id) == other.lane.destination);
            });
            if (from == 0) break;
        }
        REQUIRE(visited == model_.tasks.size());
    }

    std::mt19937 random_;
    TaskQueue queue_;
    Model model_;
    std::int64_t ticks_ = 0;
    WallTime now_ = from_unix_microseconds(1'000'000'000'000);
};

}  // namespace

TEST_CASE("random operations give what the model gives", "[property]") {
    const std::uint32_t seed = GENERATE(1u, 2u, 3u, 4u, 5u);
    INFO("seed " << seed);
    Run run(seed);
    for (int i = 0; i < 3000; ++i) run.step();
}

TEST_CASE("backlogged tenants and jobs get equal shares of recipients", "[property]") {
    const std::uint32_t seed = GENERATE(11u, 12u, 13u, 14u);
    INFO("seed " << seed);
    std::mt19937 random(seed);
    constexpr std::uint32_t kMostRecipients = 20;
    TaskQueue queue;
    const WallTime now = from_unix_microseconds(1'000'000'000'000);
    const std::uint32_t tenants = 2 + random() % 4, jobs = 1 + random() % 4;
    for (std::uint32_t t = 0; t < tenants; ++t) {
        for (std::uint32_t j = 0; j < jobs; ++j) {
            const std::string tenant = "t" + std::to_string(t), job = "j" + std::to_string(j);
            for (int i = 0; i < 3000; ++i) {
                NewTask task;
                task.due = now;
                task.tenant = tenant;
                task.job = job;
                task.recipients = 1 + static_cast<std::uint32_t>(random() % kMostRecipients);
                queue.add(std::move(task), now);
            }
        }
    }
    std::map<std::string, std::int64_t> by_tenant;
    std::map<std::string, std::map<std::string, std::int64_t>> by_job;
    for (int i = 0; i < 2500; ++i) {
        const TaskId id = *queue.take(0);
        const std::string tenant(queue.tenant_of(id)), job(queue.job_of(id));
        by_tenant[tenant] += queue[id].recipients;
        by_job[tenant][job] += queue[id].recipients;
        queue.finish(id);
        if (i < 100) continue;
        const auto spread = [](const auto& counts) {
            const auto [least, most] = std::minmax_element(
                counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
            return most->second - least->second;
        };
        REQUIRE(by_tenant.size() == tenants);
        REQUIRE(spread(by_tenant) <= kMostRecipients + 2);
    }
    for (const auto& [tenant, counts] : by_job) {
        CAPTURE(tenant);
        std::int64_t least = INT64_MAX, most = 0;
        for (const auto& [job, count] : counts) {
            least = std::min(least, count);
            most = std::max(most, count);
        }
        CHECK(most - least <= kMostRecipients + 2);
    }
}
