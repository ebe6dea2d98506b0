// The overflow queue when things go wrong: nothing in it is forgotten, and nothing comes out of it twice.
#include <catch2/catch.hpp>

#include "take_in_world.hpp"

namespace postfleet::sender {

namespace {

using namespace support;
using namespace std::chrono_literals;
using World = TakeInWorld;

constexpr std::uint64_t kFull = 1'000'000;
constexpr std::size_t kLarge = 60'000;
// A consumer is given two large ones at a time.
constexpr config::TakeIn kSmallBites{.prefetch = 64 * 1024};

// Four wait in the overflow queue; not all have been given out, and none is in the spool.
void begin_a_way(World& world) {
    for (std::uint64_t n = 1; n <= 4; ++n) world.publish(kOverflow, sample_handover(n, "example.org", kLarge));
    world.handover.mode = FakeHandover::Mode::Hold;
    world.start();
    REQUIRE(world.handover.held() < 4);
}

}  // namespace

TEST_CASE("a broker that is away at the start says nothing about what is in the overflow queue", "[P5]") {
    World world({.queue_quota = 10});
    world.publish(kOverflow, sample_handover(1));
    world.broker.go_away("restarting");
    world.start();
    world.executor.advance(1min);
    world.broker.come_back();
    world.executor.advance(10s);
    CHECK(world.taken() == Numbers{1});
}

TEST_CASE("a broker that goes away in the middle of a way through the overflow queue costs no mail its way", "[P5]") {
    World world(kSmallBites);
    begin_a_way(world);
    world.broker.go_away("restarting");
    world.handover.mode = FakeHandover::Mode::Posted;
    while (world.handover.held() > 0) world.handover.release({});
    world.executor.advance(1min);
    REQUIRE(world.left(kOverflow) == 4);
    world.broker.come_back();
    world.executor.advance(10s);
    CHECK(world.left(kOverflow) == 0);
}

TEST_CASE("a spool at its mark in the middle of a way through the overflow queue costs no mail its way", "[P5]") {
    World world(kSmallBites);
    begin_a_way(world);
    world.backlog = {world.settings.max_messages, 0};
    world.executor.advance(2s);
    world.handover.mode = FakeHandover::Mode::Posted;
    while (world.handover.held() > 0) world.handover.release({});
    world.executor.advance(10min);
    REQUIRE(world.left(kOverflow) > 0);
    world.backlog = {0, 0};
    world.executor.advance(10s);
    CHECK(world.left(kOverflow) == 0);
    CHECK(world.taken().size() == 4);
}

TEST_CASE("what waits when a way through the overflow queue ends is come to in the next one", "[P5]") {
    World world({.queue_quota = 10});
    world.queued["full.test"] = kFull;
    // The first goes round, and ends the way, while the last wait behind what the spool is busy with.
    world.publish(kOverflow, sample_handover(1, "full.test"));
    for (std::uint64_t n = 2; n <= 513; ++n) world.publish(kOverflow, sample_handover(n, "example.org", 100));
    world.publish(kOverflow, sample_handover(514, "other.test"));
    world.handover.mode = FakeHandover::Mode::Hold;
    world.start();
    REQUIRE(world.handover.held() < 513);
    world.handover.mode = FakeHandover::Mode::Posted;
    while (world.handover.held() > 0) world.handover.release({});
    world.executor.advance(1min);
    CHECK(world.taken().size() == 513);
    CHECK(world.left(kOverflow) == 1);
}

TEST_CASE("what two queues have given is acknowledged to the one that still has it when the other's consumer ends",
          "[P5]") {
    World world({.queue_quota = 10});
    world.start();
    world.executor.advance(10s);
    world.queued["slow.test"] = kFull;
    world.publish(kDeliver, sample_handover(1, "slow.test"));
    REQUIRE(world.left(kOverflow) == 1);
    world.handover.mode = FakeHandover::Mode::Hold;
    for (std::uint64_t n = 2; n <= 513; ++n) world.publish(kDeliver, sample_handover(n, "example.org", 100));
    REQUIRE(world.handover.held() == 512);
    world.queued["slow.test"] = 0;
    world.executor.advance(10s);
    REQUIRE(world.broker.unsettled(kOverflow) == 1);
    // Its acknowledgement was lost when it went to the overflow queue.
    world.publish(kDeliver, sample_handover(1, "slow.test"));
    world.queued["slow.test"] = kFull;
    world.executor.advance(2s);
    REQUIRE(world.broker.unsettled(kOverflow) == 0);
    world.queued["slow.test"] = 0;
    world.handover.mode = FakeHandover::Mode::Posted;
    while (world.handover.held() > 0) world.handover.release({});
    world.executor.advance(1s);
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.taken().size() == 513);
}

TEST_CASE("what the spool has had goes into no overflow queue, whole or in part", "[P3]") {
    World world({.queue_quota = 10});
    world.start();
    world.executor.advance(10s);
    auto both = sample_handover(1, "fast.test");
    Task other = sample_task(1, 5);
    other.domain = "slow.test";
    for (Recipient& recipient : other.recipients) recipient.index += 5;
    both.tasks.push_back(other);
    // Taken before their queue was full; the acknowledgements were lost.
    for (int copy = 0; copy < 2; ++copy) {
        world.publish(kDeliver, both);
        world.publish(kDeliver, sample_handover(2, "slow.test"));
        for (const AcceptedMessage& taken : world.handover.accepted) world.remembered.insert(*taken.taken_as);
        world.queued["slow.test"] = kFull;
    }
    CHECK(world.taken() == Numbers{1, 2});
    CHECK(world.left(kOverflow) == 0);
    world.publish(kDeliver, sample_handover(3, "slow.test"));
    CHECK(world.left(kOverflow) == 1);
    CHECK(world.left(kDeliver) == 0);
}

TEST_CASE("mail that an operator has returned to the overflow queue is found", "[P5]") {
    World world;
    world.start();
    world.executor.advance(1min);
    world.publish(kOverflow, sample_handover(1));
    world.executor.advance(11min);
    CHECK(world.taken() == Numbers{1});
    CHECK(world.left(kOverflow) == 0);
}

}  // namespace postfleet::sender
