// An outbox that nobody adds to any more is emptied into the queues of its report sinks.
#include <catch2/catch.hpp>
#include <thread>

#include "postfleet/event_queues/event_queue_sinks.hpp"
#include "postfleet/event_queues/outbox_publishing.hpp"
#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/wire/events.hpp"

using namespace postfleet;
using namespace postfleet::event_queues;
using support::FakeBroker;
using support::FakeSpool;
using support::ManualExecutor;

namespace {

struct World {
    FakeBroker broker;
    FakeSpool spool;
    Metrics metrics;
    ManualExecutor executor;

    World() {
        for (const char* sink : {"file", "kafka"}) {
            broker.declare_queue(std::string("postfleet.sink.") + sink);
            broker.bind("postfleet.events", std::string("postfleet.sink.") + sink,
                        std::string("postfleet.sink.") + sink);
        }
    }
    void commit_events(int count) {
        SpoolBatch batch;
        for (int i = 0; i < count; ++i) {
            Event event;
            event.id.octets[0] = static_cast<std::uint8_t>(i);
            event.id.octets[1] = static_cast<std::uint8_t>(i >> 8);
            event.type = EventType::Delivered;
            event.recipient = "r" + std::to_string(i) + "@dest.test";
            batch.events.push_back(std::move(event));
        }
        bool done = false;
        spool.commit(std::move(batch), {&executor, [&](Status status) { done = status.has_value(); }});
        executor.run_until_idle();
        REQUIRE(done);
    }
    std::unique_ptr<OutboxPublishing> start(const std::vector<std::string>& reports,
                                            OutboxPublishing::Others others = OutboxPublishing::Others::Kept) {
        std::vector<reporting::SinkSetup> sinks;
        for (const std::string& report : reports) {
            sinks.push_back(event_queue_sink(
                report,
                {.make_publisher = [this](const std::string&) { return broker.publisher(); }, .source = "/senders/a"}));
        }
        auto publishing = OutboxPublishing::start(spool, std::move(sinks), others, metrics, Log());
        REQUIRE(publishing);
        return *std::move(publishing);
    }
    std::size_t published(const std::string& report) {
        std::size_t events = 0;
        for (const BrokerMessage& message : broker.waiting("postfleet.sink." + report)) {
            const auto batch = wire::decode_events(*message.body);
            REQUIRE(batch);
            events += batch->events.size();
        }
        return events;
    }
};

template <class Condition>
bool comes_true(const Condition& condition) {
    const SteadyTime until = steady_clock_now() + std::chrono::seconds(60);
    while (!condition() && steady_clock_now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return condition();
}

}  // namespace

TEST_CASE("an outbox is empty when every report sink has confirmed all that waited for it") {
    World world;
    world.commit_events(250);
    const auto publishing = world.start({"file", "kafka"});
    REQUIRE(comes_true([&] { return publishing->state().left == 0; }));
    CHECK(publishing->stop().left == 0);
    CHECK(world.published("file") == 250);
    CHECK(world.published("kafka") == 250);
    CHECK(world.spool.read(0, 10)->empty());
}

TEST_CASE("what is left says how many events, and why they are not published") {
    World world;
    world.commit_events(30);
    world.broker.set_confirms(FakeBroker::Confirms::Refused);
    const auto publishing = world.start({"file"});
    CHECK(publishing->state().left == 30);
    REQUIRE(comes_true([&] { return !publishing->state().obstacle.empty(); }));
    const auto rest = publishing->stop();
    CHECK(rest.left == 30);
    CHECK(rest.obstacle.find("file: ") == 0);

    // The next run goes on.
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    const auto again = world.start({"file"});
    REQUIRE(comes_true([&] { return again->state().left == 0; }));
    CHECK(world.published("file") == 30);
}

TEST_CASE("events for sinks that are not named stay, unless they are to be forgotten") {
    World world;
    REQUIRE(world.spool.open_cursor("kafka"));
    world.commit_events(5);
    const auto publishing = world.start({"file"});
    REQUIRE(comes_true([&] { return publishing->state().left == 0; }));
    publishing->stop();
    CHECK(world.spool.read(0, 10)->size() == 5);
    world.start({"file"}, OutboxPublishing::Others::Forgotten)->stop();
    world.commit_events(0);
    CHECK(world.spool.read(0, 10)->empty());
}
