#include "postfleet/sender_edge/broker_take_in.hpp"

#include <catch2/catch.hpp>

#include <map>

#include "postfleet/support/sender_world.hpp"
#include "take_in_world.hpp"

namespace postfleet::sender {

namespace {

using namespace support;
using namespace std::chrono_literals;
using World = TakeInWorld;

}  // namespace

TEST_CASE("mail is acknowledged when the spool has it, and not before") {
    World world;
    world.handover.mode = FakeHandover::Mode::Hold;
    world.publish(kDeliver, sample_handover(1));
    world.start();
    CHECK(world.handover.held() == 1);
    CHECK(world.broker.unsettled(kDeliver) == 1);
    world.handover.release({});
    world.executor.run_until_idle();
    CHECK(world.left(kDeliver) == 0);
    REQUIRE(world.handover.accepted.size() == 1);
    const AcceptedMessage& accepted = world.handover.accepted[0];
    CHECK(*accepted.message == *sample_handover(1).message);
    CHECK(accepted.tasks == sample_handover(1).tasks);
    CHECK(*accepted.last_chunk == *sample_content(1));
    CHECK(accepted.taken_as == accepted.message->id);
    CHECK(world.take_in->obstacle().empty());
}

TEST_CASE("content of several chunks comes whole") {
    World world;
    const auto large = sample_handover(1, "example.org", 2 * kContentChunkOctets + 100);
    world.publish(kDeliver, large);
    world.start();
    REQUIRE(world.handover.accepted.size() == 1);
    const auto& chunks = world.handover.chunks[large.message->id];
    REQUIRE(chunks.size() == 2);
    CHECK((*chunks.at(0) == *large.content[0] && *chunks.at(1) == *large.content[1]));
    CHECK((*world.handover.accepted[0].last_chunk == *large.content[2]));
    CHECK(world.left(kDeliver) == 0);
}

TEST_CASE("what is given out again while the first one is under way is handed over once, and acknowledged both times") {
    World world;
    world.handover.mode = FakeHandover::Mode::Hold;
    world.publish(kDeliver, sample_handover(1));
    world.publish(kHigh, sample_handover(1));
    world.start();
    CHECK(world.handover.held() == 1);
    world.broker.lose_connections();
    world.executor.run_until_idle();
    CHECK(world.handover.held() == 1);
    world.handover.release({});
    world.executor.run_until_idle();
    CHECK(world.taken() == Numbers{1});
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.left(kHigh) == 0);
}

TEST_CASE("a message that is offered again with other tasks is no copy: its sender has others of them now") {
    World world;
    wire::Handover first = sample_handover(1);
    const auto offer = [&](const std::vector<std::uint32_t>& numbers) {
        wire::Handover other = first;
        other.tasks.assign(numbers.size(), first.tasks[0]);
        for (std::uint32_t i = 0; i < numbers.size(); ++i) {
            other.tasks[i].key.number = numbers[i];
            other.tasks[i].recipients.resize(1);
            other.tasks[i].recipients[0].index = numbers[i];
        }
        world.publish(kDeliver, other);
    };
    for (const auto& numbers : std::vector<std::vector<std::uint32_t>>{{0}, {0, 1}, {1}, {1, 0}, {0}, {1}})
        offer(numbers);
    world.start();
    CHECK(world.taken() == Numbers{1, 1, 1});  // what is the same waits once
    for (const auto& numbers : std::vector<std::vector<std::uint32_t>>{{0}, {0, 1}, {1}}) offer(numbers);
    REQUIRE(world.taken() == Numbers{1, 1, 1, 1, 1, 1});
    const auto& accepted = world.handover.accepted;
    CHECK(accepted[0].taken_as == first.id);
    for (std::size_t i = 0; i < 3; ++i) CHECK(accepted[i].taken_as == accepted[i + 3].taken_as);
    CHECK(accepted[1].taken_as != first.id);
    CHECK(accepted[2].taken_as != first.id);
    CHECK(accepted[1].taken_as != accepted[2].taken_as);
}

TEST_CASE("the high queue goes first, and the normal one is not starved") {
    World world;
    world.start();
    world.handover.mode = FakeHandover::Mode::Hold;
    // As many as may be under way; what comes behind them waits here.
    for (std::uint64_t n = 1000; n < 1512; ++n) world.publish(kDeliver, sample_handover(n, "example.org", 100));
    REQUIRE(world.handover.held() == 512);
    for (std::uint64_t n = 0; n < 40; ++n) world.publish(kDeliver, sample_handover(n));
    for (std::uint64_t n = 100; n < 140; ++n) world.publish(kHigh, sample_handover(n));
    while (world.handover.held() > 0) {
        world.handover.release({});
        world.executor.run_until_idle();
    }
    const auto taken = world.taken();
    REQUIRE(taken.size() == 592);
    const auto high_among = [&](std::ptrdiff_t first) {
        return std::count_if(taken.begin() + 512, taken.begin() + 512 + first,
                             [](std::uint64_t n) { return n >= 100; });
    };
    CHECK(high_among(16) == 14);
    CHECK(high_among(46) == 40);
}

TEST_CASE("what cannot be read is put aside with the reason, and its neighbours come in [F27]") {
    World world;
    world.publish(kDeliver, sample_handover(1));
    world.publish(kDeliver, std::string("no hand-over at all"));
    world.publish(kDeliver, sample_handover(2));
    world.start();
    CHECK(world.taken() == Numbers{1, 2});
    CHECK(world.left(kDeliver) == 0);
    const auto rejected = world.broker.waiting(std::string(wire::kRejectedQueue));
    REQUIRE(rejected.size() == 1);
    CHECK(*rejected[0].body == "no hand-over at all");
    CHECK(rejected[0].headers[0].first == "x-postfleet-reason");
    CHECK_THAT(rejected[0].headers[0].second, Catch::Contains("hand-over"));
    CHECK(rejected[0].headers[1] == std::pair<std::string, std::string>("x-postfleet-queue", kDeliver));
}

TEST_CASE("what could not be put aside stays with the broker, and is put aside later") {
    World world;
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.publish(kDeliver, std::string("no hand-over at all"));
    world.broker.set_confirms(FakeBroker::Confirms::Refused);
    world.start();
    CHECK(world.left(kDeliver) == 1);
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.executor.advance(2s);
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.broker.waiting(std::string(wire::kRejectedQueue)).size() == 1);
}

TEST_CASE("a hand-over of a later version stops the take-in, and is still there for a newer Postfleet") {
    World world;
    std::string later = wire::encode_handover(sample_handover(1));
    later[1] = 2;  // the version is the first field
    world.publish(kDeliver, later);
    world.start();
    CHECK_THAT(world.take_in->obstacle(), Catch::Contains("version 2"));
    world.publish(kDeliver, sample_handover(2));
    CHECK(world.taken().empty());
    bool stopped = false;
    world.take_in->stop({&world.executor, [&](const Status&) { stopped = true; }});
    world.executor.run_until_idle();
    CHECK(stopped);
    CHECK(world.broker.waiting(kDeliver).size() == 2);
    CHECK(world.broker.waiting(std::string(wire::kRejectedQueue)).empty());
}

TEST_CASE("a spool that takes nothing holds the mail up, and it goes on by itself, in order") {
    World world;
    world.start();
    SECTION("it says so before") {
        world.handover.open = {.open = false, .space_low = true, .reason = "space is low"};
        for (std::uint64_t n = 1; n <= 5; ++n) world.publish(kDeliver, sample_handover(n));
        CHECK(world.take_in->obstacle() == "space is low");
    }
    SECTION("it fails") {
        world.handover.next = Error{ErrorKind::Unavailable, "spool latched: disk on fire"};
        for (std::uint64_t n = 1; n <= 5; ++n) world.publish(kDeliver, sample_handover(n));
        CHECK(world.take_in->obstacle() == "spool latched: disk on fire");
        world.handover.open = {.open = false, .space_low = false, .reason = "spool latched: disk on fire"};
    }
    world.executor.advance(30s);
    CHECK(world.left(kDeliver) == 5);
    CHECK(world.taken().empty());
    world.handover.open = {};
    world.handover.next = {};
    world.executor.advance(2s);
    CHECK(world.taken() == Numbers{1, 2, 3, 4, 5});
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.take_in->obstacle().empty());
}

TEST_CASE("what has been held for long goes back to the broker, before the broker takes it back [F28]") {
    World world;
    world.start();
    world.handover.open = {.open = false, .space_low = false, .reason = "spool latched"};
    for (std::uint64_t n = 1; n <= 5; ++n) world.publish(kDeliver, sample_handover(n));
    CHECK(world.broker.unsettled(kDeliver) > 0);
    world.executor.advance(BrokerTakeIn::kHoldAtMost + 5s);
    CHECK(world.broker.unsettled(kDeliver) == 0);
    CHECK(world.broker.waiting(kDeliver).size() == 5);
    world.handover.open = {};
    world.executor.advance(5s);
    CHECK(world.taken().size() == 5);
    CHECK(world.left(kDeliver) == 0);
}

TEST_CASE("at the high-water mark nothing more is taken, until a tenth has gone") {
    World world({.max_messages = 100, .max_octets = 1 << 20});
    world.start();
    SECTION("of messages") { world.backlog.messages = 100; }
    SECTION("of octets") { world.backlog.octets = 1 << 20; }
    world.executor.advance(1s);
    world.publish(kDeliver, sample_handover(1));
    world.executor.advance(10s);
    CHECK(world.left(kDeliver) == 1);
    CHECK_THAT(world.take_in->obstacle(), Catch::Contains("high-water"));
    world.backlog = {95, 1'000'000};
    world.executor.advance(10s);
    CHECK(world.left(kDeliver) == 1);
    world.backlog = {89, 900'000};
    world.executor.advance(2s);
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.take_in->obstacle().empty());
}

TEST_CASE(
    "mail for a queue over its quota goes to the overflow queue, others come in, and it comes back as that shrinks",
    "[P6]") {
    World world({.queue_quota = 10});
    world.start();
    world.executor.advance(10s);  // the sweep of the start
    world.queued["slow.test"] = 10;
    for (std::uint64_t n = 1; n <= 6; ++n) {
        world.publish(kDeliver, sample_handover(n, n % 2 == 0 ? "slow.test" : "fast.test"));
    }
    CHECK(world.taken() == Numbers{1, 3, 5});
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.left(kOverflow) == 3);
    world.executor.advance(1min);
    CHECK(world.left(kOverflow) == 3);
    world.queued["slow.test"] = 6;
    world.executor.advance(1min);
    CHECK(world.left(kOverflow) == 3);
    world.queued["slow.test"] = 4;
    world.executor.advance(1min);
    CHECK(world.left(kOverflow) == 0);
    CHECK(world.taken() == Numbers{1, 3, 5, 2, 4, 6});
    CHECK(world.handover.accepted.back().taken_as == world.handover.accepted.back().message->id);
}

TEST_CASE("what may not come back yet does not keep others in the overflow queue", "[P6]") {
    World world({.queue_quota = 10});
    world.start();
    world.executor.advance(10s);
    world.queued["slow.test"] = world.queued["slower.test"] = 10;
    for (std::uint64_t n = 1; n <= 8; ++n) {
        world.publish(kDeliver, sample_handover(n, n <= 4 ? "slower.test" : "slow.test"));
    }
    REQUIRE(world.left(kOverflow) == 8);
    world.queued["slow.test"] = 0;
    world.executor.advance(1min);
    CHECK(world.taken() == Numbers{5, 6, 7, 8});
    CHECK(world.left(kOverflow) == 4);
    CHECK(world.broker.unsettled(kOverflow) == 0);
    const auto published = world.broker.published().size();
    world.executor.advance(10min);
    CHECK(world.broker.published().size() == published);  // and nothing goes round for nothing
    world.queued["slower.test"] = 0;
    world.executor.advance(1min);
    CHECK(world.taken().size() == 8);
}

TEST_CASE("of mail for several queues only that for the full one goes away, and comes back under an id of its own") {
    World world({.queue_quota = 10});
    world.start();
    world.executor.advance(10s);
    world.queued["slow.test"] = 10;
    auto both = sample_handover(1, "fast.test");
    Task other = sample_task(1, 5);
    other.domain = "slow.test";
    for (Recipient& recipient : other.recipients) recipient.index += 5;
    both.tasks.push_back(other);
    world.publish(kDeliver, both);
    REQUIRE(world.handover.accepted.size() == 1);
    CHECK(world.handover.accepted[0].tasks == std::vector{both.tasks[0]});
    CHECK(world.left(kOverflow) == 1);
    world.queued.clear();
    world.executor.advance(1min);
    REQUIRE(world.handover.accepted.size() == 2);
    CHECK(world.handover.accepted[1].tasks == std::vector{both.tasks[1]});
    CHECK(world.handover.accepted[1].taken_as != both.id);
    CHECK(*world.handover.accepted[1].message == *both.message);
}

TEST_CASE("a part of a message that is here waits until the rest is finished, and holds up nothing") {
    World world;
    world.start();
    world.executor.advance(10s);
    world.handover.next = Error{ErrorKind::InvalidArgument, "its message is here"};
    auto part = sample_handover(1);
    part.id = sample_id(77);
    world.publish(kDeliver, part);
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.left(kOverflow) == 1);
    CHECK(world.take_in->obstacle().empty());
    world.executor.advance(1min);
    CHECK(world.left(kOverflow) == 1);
    world.handover.next = {};
    world.publish(kDeliver, sample_handover(2));
    world.executor.advance(1min);
    CHECK(world.taken() == Numbers{2, 1});
    CHECK(world.handover.accepted.back().taken_as == sample_id(77));
    CHECK(world.left(kOverflow) == 0);
}

TEST_CASE("an overflow queue that is full, or does not confirm, keeps the mail where it was") {
    World world({.queue_quota = 10});
    world.start();
    world.executor.advance(10s);
    world.queued["slow.test"] = 10;
    world.publish(kDeliver, sample_handover(9, "fast.test"));
    const auto body = wire::encode_handover(sample_handover(1, "slow.test"));
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.publish(kDeliver, body);
    REQUIRE(world.left(kOverflow) == 1);
    world.handover.open = {.open = false, .space_low = false, .reason = "wait"};
    world.publish(kDeliver, sample_handover(2, "slow.test"));
    world.broker.set_confirms(FakeBroker::Confirms::Refused);
    world.handover.open = {};
    world.executor.advance(5s);
    CHECK(world.left(kDeliver) == 1);
    CHECK_FALSE(world.take_in->obstacle().empty());
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.executor.advance(5s);
    CHECK(world.left(kDeliver) == 0);
    CHECK(world.left(kOverflow) == 2);
}

TEST_CASE("who stops finishes what is under way, and gives the rest back") {
    World world;
    world.handover.mode = FakeHandover::Mode::Hold;
    world.publish(kDeliver, sample_handover(1));
    world.start();
    world.handover.open = {.open = false, .space_low = false, .reason = "wait"};
    world.publish(kDeliver, sample_handover(2));
    std::optional<Status> stopped;
    world.take_in->stop({&world.executor, [&](Status status) { stopped = std::move(status); }});
    world.executor.run_until_idle();
    CHECK_FALSE(stopped);
    world.handover.release({});
    world.executor.run_until_idle();
    REQUIRE(stopped);
    CHECK(world.taken() == Numbers{1});
    CHECK(world.broker.waiting(kDeliver).size() == 1);
    CHECK(world.broker.unsettled(kDeliver) == 0);
}

namespace {

// Of a broker that hangs: its end comes when it is destroyed.
class HangingConsumer final : public BrokerConsumer {
public:
    explicit HangingConsumer(int& alive) : alive_(alive) { ++alive_; }
    ~HangingConsumer() override { --alive_; }
    void settle(std::uint64_t, BrokerVerdict) override {}
    void pause() override {}
    void resume() override {}
    void stop(Completion<Status> done) override { stopped_ = std::move(done); }
    std::string obstacle() const override { return "it hangs"; }

private:
    int& alive_;
    Completion<Status> stopped_;
};

}  // namespace

TEST_CASE("consumers of a broker that hangs end with the take-in, which their broker outlives") {
    int alive = 0;
    World world;
    world.consume = [&](BrokerConsumerOptions) { return std::make_unique<HangingConsumer>(alive); };
    world.start();
    REQUIRE(alive > 0);
    world.take_in->stop({&world.executor, [](const Status&) {}});
    world.executor.run_until_idle();
    world.take_in.reset();
    CHECK(alive == 0);
}

TEST_CASE("a broker that goes away and comes back costs nothing and doubles nothing, down to the sink", "[P1][P3]") {
    SenderWorld world;
    world.route("example.org", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    world.start();
    FakeBroker broker;
    declare_queues(broker);
    const auto publisher = broker.publisher();
    Metrics metrics;
    BrokerTakeIn take_in(
        {.on = *world.executors[0],
         .shards = {world.executors[0].get()},
         .consume = [&](BrokerConsumerOptions options) { return broker.consumer(std::move(options)); },
         .publisher = *publisher,
         .handover = world.sender->handover(),
         .was_taken = [&](MessageId id, Completion<Result<bool>> done) { world.spool.was_taken(id, std::move(done)); },
         .backlog = [&] { return world.sender->backlog(); },
         .queued_for = [&](std::string_view domain,
                           std::string_view vmta) { return world.sender->queued_for(domain, vmta); },
         .metrics = metrics,
         .log = Log()},
        "s0", {});
    take_in.start();
    for (std::uint64_t n = 1; n <= 60; ++n) {
        auto handover = sample_handover(n);
        auto message = std::make_shared<Message>();
        message->id = handover.id;
        message->accepted_at = world.executors[0]->wall_now();
        message->reverse_path = "a@from.test";
        message->size_octets = handover.message->size_octets;
        handover.message = message;
        Task task;
        task.key = {message->id, 0};
        task.due = task.accepted_at = message->accepted_at;
        task.domain = "example.org";
        task.virtual_mta = "v1";
        task.size_octets = message->size_octets;
        task.recipients.push_back({.address = "u" + std::to_string(n) + "@example.org"});
        handover.tasks = {task};
        // Published twice, as after a lost confirm; and the connection is lost at many moments.
        for (int copy = 0; copy < 2; ++copy) {
            publisher->publish({std::string(wire::kDeliverExchange), n % 3 == 0 ? kHigh : kDeliver},
                               {.body = std::make_shared<const std::string>(wire::encode_handover(handover)),
                                .message_id = handover.id.to_string()},
                               {world.executors[0].get(), [](const Status&) {}});
        }
        if (n % 7 == 0) world.spool.hold();
        if (n % 7 == 2) world.spool.release();
        if (n % 4 == 0) world.executors[0]->run_until_idle();
        if (n % 5 == 0) broker.lose_connections();
        if (n % 11 == 0) world.settle();
    }
    world.spool.release();
    world.advance(1min);
    std::map<std::string, int> arrived;
    for (const auto& delivery : host.deliveries) ++arrived[delivery.to.at(0)];
    CHECK(arrived.size() == 60);
    CHECK(host.deliveries.size() == 60);
    CHECK(broker.waiting(kDeliver).size() + broker.unsettled(kDeliver) == 0);
    CHECK(broker.waiting(kHigh).size() + broker.unsettled(kHigh) == 0);
    CHECK(world.spool.statistics().repeated > 0);
    CHECK(world.sender->backlog().messages == 0);
    CHECK(world.sender->backlog().octets == 0);
    bool stopped = false;
    take_in.stop({world.executors[0].get(), [&](const Status&) { stopped = true; }});
    world.settle();
    CHECK(stopped);
}

}  // namespace postfleet::sender
