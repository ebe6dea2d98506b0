#include "postfleet/net/timer_heap.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <vector>

namespace postfleet::net {
namespace {

SteadyTime at(int milliseconds) { return SteadyTime(std::chrono::milliseconds(milliseconds)); }

std::vector<int> fire_all(TimerHeap& heap, std::vector<int>& fired, SteadyTime now) {
    while (Callback task = heap.take_due(now)) task();
    return fired;
}

TEST_CASE("timers fire in the order of their times, equal times in the order they were set") {
    TimerHeap heap;
    std::vector<int> fired;
    for (const int time : {50, 10, 30, 10, 20}) heap.insert(at(time), [&fired, time] { fired.push_back(time); });
    heap.insert(at(10), [&fired] { fired.push_back(11); });
    CHECK(heap.next_due() == at(10));
    CHECK(fire_all(heap, fired, at(30)) == std::vector{10, 10, 11, 20, 30});
    CHECK(heap.next_due() == at(50));
    CHECK(heap.size() == 1);
}

TEST_CASE("a cancelled timer never fires, and its id is harmless afterwards") {
    TimerHeap heap;
    std::vector<int> fired;
    const TimerId first = heap.insert(at(1), [&] { fired.push_back(1); });
    CHECK(heap.cancel(first));
    CHECK_FALSE(heap.cancel(first));
    const TimerId second = heap.insert(at(1), [&] { fired.push_back(2); });
    CHECK_FALSE(heap.cancel(first));
    CHECK_FALSE(heap.cancel(TimerId{}));
    CHECK(fire_all(heap, fired, at(1)) == std::vector{2});
    CHECK_FALSE(heap.cancel(second));
    CHECK(heap.next_due() == SteadyTime::max());
}

TEST_CASE("a moved timer fires at its new time only") {
    TimerHeap heap;
    std::vector<int> fired;
    const TimerId moved = heap.insert(at(10), [&] { fired.push_back(1); });
    heap.insert(at(20), [&] { fired.push_back(2); });
    CHECK(heap.move(moved, at(30)));
    CHECK(fire_all(heap, fired, at(25)) == std::vector{2});
    CHECK(fire_all(heap, fired, at(30)) == std::vector{2, 1});
    CHECK_FALSE(heap.move(moved, at(40)));
}

TEST_CASE("a callable that is destroyed by cancel may use the heap") {
    TimerHeap heap;
    struct Reentrant {
        TimerHeap* heap;
        ~Reentrant() {
            heap->insert(at(5), [] {});
        }
    };
    const TimerId timer = heap.insert(at(1), [owned = std::make_unique<Reentrant>(&heap)] {});
    CHECK(heap.cancel(timer));
    CHECK(heap.next_due() == at(5));
}

TEST_CASE("random inserts, moves and cancels agree with a sorted map") {
    const unsigned seed = 20261122;
    INFO("seed " << seed);
    std::mt19937 random(seed);
    TimerHeap heap;
    std::map<int, std::pair<TimerId, int>> model;  // number → id, time
    int fired = -1;
    for (int step = 0; step < 20'000; ++step) {
        const int time = static_cast<int>(random() % 1000);
        const auto pick = model.empty() ? model.end() : std::next(model.begin(), random() % model.size());
        switch (random() % 4) {
            case 0:
            case 1: model[step] = {heap.insert(at(time), [&fired, step] { fired = step; }), time}; break;
            case 2:
                if (pick == model.end()) break;
                REQUIRE(heap.move(pick->second.first, at(time)));
                pick->second.second = time;
                break;
            case 3:
                if (pick == model.end()) break;
                if (random() % 2 == 0) {
                    REQUIRE(heap.cancel(pick->second.first));
                    model.erase(pick);
                } else {
                    Callback task = heap.take_due(SteadyTime::max());
                    REQUIRE(task);
                    task();
                    int least = 1000;
                    for (const auto& [number, entry] : model) least = std::min(least, entry.second);
                    REQUIRE(model.at(fired).second == least);
                    model.erase(fired);
                }
                break;
        }
        REQUIRE(heap.size() == model.size());
    }
}

}  // namespace
}  // namespace postfleet::net
