#include "overflow_sweep.hpp"

#include <catch2/catch.hpp>

#include <map>

namespace postfleet::sender {

namespace {

using namespace std::chrono_literals;
using Ended = OverflowSweep::Ended;

struct World {
    OverflowSweep sweep{"p"};
    SteadyTime now{1h};
    std::map<std::string, bool> room;
    OverflowSweep::HasRoom has_room = [this](std::string_view domain, std::string_view) {
        return room[std::string(domain)];
    };
    bool begins() {
        if (!sweep.should_begin(now, has_room)) return false;
        sweep.begin(now);
        return true;
    }
};

}  // namespace

TEST_CASE("at a start the overflow queue is gone through once, because nobody knows what is in it") {
    World world;
    REQUIRE(world.begins());
    CHECK_FALSE(world.begins());
    CHECK_FALSE(world.sweep.is_in_vain(world.has_room));
    CHECK_FALSE(world.sweep.is_idle(world.now));
    world.now += OverflowSweep::kIdle;
    CHECK(world.sweep.is_idle(world.now));
    world.sweep.wait(world.now);  // the broker was away
    CHECK_FALSE(world.sweep.is_idle(world.now));
    world.sweep.end(world.now, Ended::AllSeen);
    world.now += 9min;
    CHECK_FALSE(world.begins());
    world.now += 1min;  // somebody may have put something there
    CHECK(world.begins());
}

TEST_CASE("a queue that has overflowed begins a sweep when it has room, and not more often than every few seconds") {
    World world;
    REQUIRE(world.begins());
    world.sweep.end(world.now, Ended::AllSeen);
    world.sweep.remember("full.test", "v1");
    CHECK_FALSE(world.begins());
    world.room["full.test"] = true;
    CHECK_FALSE(world.begins());
    world.now += OverflowSweep::kRest;
    REQUIRE(world.begins());
    CHECK_FALSE(world.sweep.is_in_vain(world.has_room));
    world.room["full.test"] = false;
    CHECK(world.sweep.is_in_vain(world.has_room));
    world.sweep.end(world.now, Ended::Early);
    world.now += OverflowSweep::kRest;
    CHECK_FALSE(world.begins());
    world.room["full.test"] = true;
    CHECK(world.begins());
}

TEST_CASE("a way round ends at its own mark, and forgets the queues that it has met no mail for") {
    World world;
    REQUIRE(world.begins());
    world.sweep.end(world.now, Ended::AllSeen);
    world.sweep.remember("gone.test", "v1");
    world.now += 1h;
    world.room["gone.test"] = true;
    REQUIRE(world.begins());
    const std::string mark = world.sweep.mark();
    CHECK_FALSE(world.sweep.came("", world.now));
    CHECK_FALSE(world.sweep.came("another-process-2", world.now));
    world.sweep.remember("met.test", "v1");
    CHECK(world.sweep.came(mark, world.now));
    world.sweep.end(world.now, Ended::AllSeen);
    world.now += 1h;
    CHECK_FALSE(world.begins());
    world.room["met.test"] = true;
    REQUIRE(world.begins());
    CHECK(world.sweep.mark() != mark);
}

TEST_CASE("when too many queues have overflowed to know them all, everything is looked at now and then") {
    World world;
    REQUIRE(world.begins());
    world.sweep.end(world.now, Ended::AllSeen);
    for (std::size_t i = 0; i <= OverflowSweep::kMostKnown; ++i) world.sweep.remember("d" + std::to_string(i), "v1");
    world.now += OverflowSweep::kRest;
    REQUIRE(world.begins());
    CHECK_FALSE(world.sweep.is_in_vain(world.has_room));
    world.sweep.end(world.now, Ended::Early);
    world.now += OverflowSweep::kRest;
    CHECK_FALSE(world.begins());
    world.now += OverflowSweep::kBlindRest;
    CHECK(world.begins());
}

}  // namespace postfleet::sender
