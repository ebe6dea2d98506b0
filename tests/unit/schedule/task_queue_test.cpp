#include "postfleet/schedule/task_queue.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

using namespace postfleet;
using namespace postfleet::schedule;
using namespace std::chrono_literals;

namespace {

const WallTime kNow = from_unix_microseconds(1'000'000'000'000);

NewTask task(std::uint32_t number, std::string_view tenant = "t", std::string_view job = "j",
             Priority priority = Priority::Normal, std::uint32_t recipients = 1) {
    NewTask out;
    out.key.number = number;
    out.due = kNow;
    out.tenant = tenant;
    out.job = job;
    out.priority = priority;
    out.recipients = recipients;
    return out;
}

// The tenant/job of the next n tasks, in order.
std::vector<std::string> order(TaskQueue& queue, std::size_t n) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < n; ++i) {
        const auto id = queue.take(0);
        if (!id) break;
        out.push_back(std::string(queue.tenant_of(*id)) + "/" + std::string(queue.job_of(*id)));
    }
    return out;
}

}  // namespace

TEST_CASE("a lane is first in, first out") {
    TaskQueue queue;
    for (std::uint32_t i = 0; i < 5; ++i) queue.add(task(i), kNow);
    for (std::uint32_t i = 0; i < 5; ++i) CHECK(queue[*queue.take(0)].key.number == i);
    CHECK_FALSE(queue.take(0));
}

TEST_CASE("tenants take turns, and the jobs of a tenant among themselves") {
    TaskQueue queue;
    for (std::uint32_t i = 0; i < 100; ++i) queue.add(task(i, "big", "campaign"), kNow);
    queue.add(task(100, "small", "a"), kNow);
    queue.add(task(101, "small", "b"), kNow);
    queue.add(task(102, "small", "a"), kNow);
    CHECK(order(queue, 7) == std::vector<std::string>{"big/campaign", "small/a", "big/campaign", "small/b",
                                                      "big/campaign", "small/a", "big/campaign"});
}

TEST_CASE("a small job does not wait behind a large one") {
    TaskQueue queue;
    for (std::uint32_t i = 0; i < 10'000; ++i) queue.add(task(i, "t", "newsletter"), kNow);
    order(queue, 50);
    queue.add(task(10'000, "t", "receipt"), kNow);
    const auto next = order(queue, 2);
    CHECK(std::count(next.begin(), next.end(), "t/receipt") == 1);
}

TEST_CASE("a job of 1,000 beside one of 100,000 takes twice its time alone, in one queue", "[P6]") {
    constexpr std::uint32_t kLarge = 100'000, kSmall = 1'000;
    constexpr Duration kEach = 10ms;  // what a session takes for a recipient
    const bool is_same_tenant = GENERATE(true, false);
    const std::uint32_t large_tasks_hold = GENERATE(1u, 50u);  // recipients
    TaskQueue queue;
    for (std::uint32_t i = 0; i < kLarge / large_tasks_hold; ++i) {
        queue.add(task(i, "t", "large", Priority::Normal, large_tasks_hold), kNow);
    }
    for (std::uint32_t i = 0; i < kSmall; ++i) {
        queue.add(task(kLarge + i, is_same_tenant ? "t" : "other", "small"), kNow);
    }
    std::uint32_t left = kSmall;
    Duration clock{};
    while (left > 0) {
        const TaskId id = *queue.take(0);
        clock += queue[id].recipients * kEach;
        if (queue.job_of(id) == "small") --left;
        queue.finish(id);
    }
    CHECK(clock <= 2 * kSmall * kEach + large_tasks_hold * kEach);
}

TEST_CASE("a tenant that sent a task of many recipients pays it back") {
    TaskQueue queue;
    for (std::uint32_t i = 0; i < 10; ++i) queue.add(task(i, "bulk", "j", Priority::Normal, 50), kNow);
    for (std::uint32_t i = 0; i < 200; ++i) queue.add(task(i, "single", "j"), kNow);
    std::map<std::string, int> recipients;
    for (int i = 0; i < 100; ++i) {
        const TaskId id = *queue.take(0);
        recipients[std::string(queue.tenant_of(id))] += static_cast<int>(queue[id].recipients);
    }
    CHECK(std::abs(recipients["bulk"] - recipients["single"]) <= 51);
}

TEST_CASE("higher priority goes first, and a lower one is passed over a bounded number of times") {
    TaskQueue queue;
    for (std::uint32_t i = 0; i < 200; ++i) queue.add(task(i, "t", "high", Priority::High), kNow);
    for (std::uint32_t i = 0; i < 10; ++i) queue.add(task(i, "t", "low", Priority::Low), kNow);
    const auto next = order(queue, TaskQueue::kStarvationBound * 3);
    CHECK(std::count(next.begin(), next.end(), "t/low") == 3);
    CHECK(next[0] == "t/high");
}

TEST_CASE("a task that is put back is the next one again") {
    TaskQueue queue;
    for (std::uint32_t i = 0; i < 3; ++i) queue.add(task(i), kNow);
    const TaskId first = *queue.take(0);
    queue.put_back(first);
    CHECK(*queue.take(0) == first);
}

TEST_CASE("tasks wait until they are due, in order of their due time") {
    TaskQueue queue;
    for (const std::uint32_t minute : {5u, 1u, 3u}) {
        NewTask later = task(minute);
        later.due = kNow + std::chrono::minutes(minute);
        queue.add(std::move(later), kNow);
    }
    CHECK_FALSE(queue.take(0));
    CHECK(queue.next_due() == kNow + 1min);
    CHECK(queue.wake_due(kNow + 3min, 100) == 2);
    CHECK(queue[*queue.take(0)].key.number == 1);
    CHECK(queue[*queue.take(0)].key.number == 3);
    CHECK(queue.next_due() == kNow + 5min);
}

TEST_CASE("a session takes only what its destination can deliver") {
    TaskQueue queue;
    NewTask elsewhere = task(1);
    elsewhere.destination = 3;
    const TaskId id = queue.add(std::move(elsewhere), kNow);
    CHECK_FALSE(queue.take(0));
    CHECK(queue.ready_tasks(3) == 1);
    queue.set_destination(id, 0);
    CHECK(queue.ready_tasks(3) == 0);
    CHECK(*queue.take(0) == id);
}

TEST_CASE("some ready task of a destination can be looked at, and stays where it is") {
    TaskQueue queue;
    CHECK_FALSE(queue.any_ready(0));
    for (const char* tenant : {"a", "b"}) queue.add(task(1, tenant), kNow);
    const TaskId taken = *queue.take(0);
    const auto other = queue.any_ready(0);
    REQUIRE(other);
    CHECK(*other != taken);
    CHECK(*queue.take(0) == *other);
    CHECK_FALSE(queue.any_ready(0));
}

TEST_CASE("visiting goes slice by slice, and ends when everything has gone between two slices") {
    TaskQueue queue;
    for (std::uint32_t i = 0; i < 100; ++i) queue.add(task(i), kNow);
    std::size_t seen = 0;
    const auto count = [&](TaskId, WaitingTask&) { ++seen; };
    const std::uint32_t next = queue.visit_tasks(0, 60, count);
    CHECK(seen == 60);
    CHECK(queue.visit_tasks(next, 60, count) == 0);
    CHECK(seen == 100);
    while (const auto id = queue.take(0)) queue.finish(*id);
    CHECK(queue.visit_tasks(next, 60, count) == 0);
}

TEST_CASE("visiting the destinations with ready tasks starts with another one each time") {
    TaskQueue queue;
    for (std::uint32_t d = 0; d < 3; ++d) {
        NewTask t = task(d);
        t.destination = d;
        queue.add(std::move(t), kNow);
    }
    std::map<std::uint32_t, int> first;
    for (int i = 0; i < 30; ++i) {
        queue.visit_ready_destinations([&](std::uint32_t destination) {
            ++first[destination];
            return false;
        });
    }
    CHECK(first == std::map<std::uint32_t, int>{{0, 10}, {1, 10}, {2, 10}});
}

TEST_CASE("an attachment lives as long as its task") {
    struct Probe : Attachment {
        explicit Probe(int& count) : count_(count) { ++count_; }
        ~Probe() override { --count_; }
        int& count_;
    };
    int living = 0;
    {
        TaskQueue queue;
        for (std::uint32_t i = 0; i < 20; ++i) {
            NewTask t = task(i);
            t.attachment = std::make_unique<Probe>(living);
            queue.add(std::move(t), kNow);
        }
        CHECK(living == 20);
        queue.finish(*queue.take(0));
        CHECK(living == 19);
    }
    CHECK(living == 0);
}

TEST_CASE("a waiting task costs less than 200 octets, whatever its neighbours", "[memory]") {
    constexpr std::uint32_t kTasks = 200'000;
    TaskQueue queue;
    for (std::uint32_t i = 0; i < kTasks; ++i) {
        const std::string job = "campaign-2026-11-22-" + std::to_string(i % 1000);
        const std::string tenant = "tenant-with-a-long-name-" + std::to_string(i % 50);
        NewTask t = task(i, tenant, job);
        t.due = kNow + std::chrono::seconds(i);
        queue.add(std::move(t), kNow);
    }
    CHECK(queue.memory_octets() / kTasks < 120);
    queue.wake_due(kNow + 1000h, kTasks);
    while (const auto id = queue.take(0)) queue.finish(*id);
    CHECK(queue.is_empty());
}

TEST_CASE("what an order holds goes neither when it is due nor when it is ready, and has nothing in memory") {
    TaskQueue queue;
    const TaskId ready = queue.add(task(1), kNow);
    NewTask later = task(2);
    later.due = kNow + 1h;
    const TaskId waiting = queue.add(std::move(later), kNow);
    NewTask held = task(3);
    held.held_by = 9;
    const TaskId born = queue.add(std::move(held), kNow);
    queue.hold(ready, 4);
    queue.hold(waiting, 5);
    CHECK(queue.counts().held == 3);
    CHECK_FALSE(queue.take(0));
    CHECK_FALSE(queue.next_due());
    CHECK(queue.wake_due(kNow + 2h, 10) == 0);
    CHECK(queue.holder_of(ready) == 4);
    CHECK(queue.holder_of(born) == 9);
    queue.release(waiting, kNow);
    CHECK(queue.next_due() == kNow + 1h);
    queue.release(ready, kNow);
    CHECK(queue.take(0) == ready);
    queue.claim(born);
    CHECK(queue.counts().in_flight == 2);
}

TEST_CASE("an id is known to be another task's by its key") {
    TaskQueue queue;
    const TaskId id = queue.add(task(1), kNow);
    const TaskKey key = queue[id].key;
    CHECK(queue.is_still(id, key));
    queue.finish(*queue.take(0));
    CHECK_FALSE(queue.is_still(id, key));
    REQUIRE(queue.add(task(2), kNow) == id);
    CHECK_FALSE(queue.is_still(id, key));
    CHECK_FALSE(queue.is_still(TaskId{1'000'000}, key));
}

TEST_CASE("a companion is the next task of the same message, and pays for its lane like any other") {
    TaskQueue queue;
    NewTask first = task(1), second = task(2), other = task(3);
    other.key.message.octets[0] = 1;
    second.key.message = first.key.message;
    const TaskId a = queue.add(std::move(first), kNow);
    const TaskId b = queue.add(std::move(second), kNow);
    const TaskId c = queue.add(std::move(other), kNow);
    REQUIRE(queue[c].key.message != queue[a].key.message);
    REQUIRE(queue.take(0) == a);
    REQUIRE(queue.take_companion(a) == b);
    CHECK(queue.counts().in_flight == 2);
    CHECK_FALSE(queue.take_companion(a));
    queue.put_back(b);
    CHECK(queue.take_companion(a) == b);
    queue.finish(a);
    queue.finish(b);
    CHECK(queue.take(0) == c);
    CHECK_FALSE(queue.take_companion(c));
}
