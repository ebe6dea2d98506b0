// The way of an event through the cluster, without the network: batch sink → queue → event log → carrier → sink.
#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "postfleet/event_queues/broker_event_log.hpp"
#include "postfleet/event_queues/event_batch_sink.hpp"
#include "postfleet/reporting/event_carrier.hpp"
#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/wire/events.hpp"
#include "postfleet/wire/topology.hpp"

using namespace postfleet;
using namespace postfleet::event_queues;
using namespace std::chrono_literals;
using support::FakeBroker;
using support::ManualExecutor;

namespace {

std::vector<ReportRecord> records_of(int first, int count, std::size_t subject_octets = 10) {
    std::vector<ReportRecord> records;
    auto message = std::make_shared<Message>();
    message->id.octets[3] = 9;
    message->tenant = "acme";
    message->header_subject = std::string(subject_octets, 's');
    for (int i = first; i < first + count; ++i) {
        auto event = std::make_shared<Event>();
        event->id.octets[0] = static_cast<std::uint8_t>(i);
        event->id.octets[1] = static_cast<std::uint8_t>(i >> 8);
        event->type = EventType::Delivered;
        event->message = message;
        event->recipient = "r" + std::to_string(i);
        records.push_back({.text = "", .event = std::move(event), .number = static_cast<std::uint64_t>(100 + i)});
    }
    return records;
}

struct World {
    ManualExecutor executor;
    FakeBroker broker;

    World() {
        broker.declare_queue("postfleet.sink.s", {.dead_letter_exchange = "dead"});
        broker.bind("postfleet.events", "postfleet.sink.s", "postfleet.sink.s");
        broker.declare_queue("dead");
        broker.bind("dead", "#", "dead");
    }
    std::unique_ptr<ReportSink> sink(EventBatchSinkOptions options = {}) {
        options.sink = "s";
        options.source = "/senders/a";
        return event_batch_sink(broker.publisher(), options);
    }
    std::unique_ptr<BrokerEventLog> log(std::uint32_t most_unsettled = 200) {
        return std::make_unique<BrokerEventLog>(
            [this](BrokerConsumerOptions options) { return broker.consumer(std::move(options)); },
            BrokerEventLogOptions{.sink = "s", .most_unsettled = most_unsettled, .on = &executor});
    }
    void publish(int first, int count) {
        const auto into = sink();
        REQUIRE(into->write(records_of(first, count)));
        REQUIRE(into->flush());
    }
    std::vector<std::string> read(BrokerEventLog& from, std::uint64_t after = 0) {
        executor.run_until_idle();
        const auto events = from.read(after, 10'000);
        REQUIRE(events);
        std::vector<std::string> recipients;
        for (const LoggedEvent& logged : *events) recipients.push_back(logged.event->recipient);
        return recipients;
    }
};

}  // namespace

TEST_CASE("events go in batches of at most so many events and octets, in their order") {
    World w;
    const auto sink = w.sink();
    REQUIRE(sink->write(records_of(0, 250)));
    REQUIRE(sink->flush());
    std::vector<std::string> recipients;
    for (const BrokerMessage& message : w.broker.waiting("postfleet.sink.s")) {
        CHECK(message.content_type == "application/x-postfleet-events");
        const auto batch = wire::decode_events(*message.body);
        REQUIRE(batch);
        CHECK(batch->source == "/senders/a");
        CHECK(batch->events.size() <= 100);
        for (const auto& one : batch->events) {
            CHECK(one.sequence == 100 + recipients.size());
            recipients.push_back(one.event->recipient);
        }
    }
    CHECK(w.broker.waiting("postfleet.sink.s").size() == 3);
    REQUIRE(recipients.size() == 250);
    CHECK(recipients[249] == "r249");

    const auto small = w.sink({.most_octets = 8 << 10});
    REQUIRE(small->write(records_of(0, 50, 1'000)));
    REQUIRE(small->flush());
    for (const BrokerMessage& message : w.broker.waiting("postfleet.sink.s")) CHECK(message.body->size() < 24 << 10);
}

TEST_CASE("an event that is larger than a batch goes alone") {
    World w;
    const auto sink = w.sink({.most_octets = 1'000});
    REQUIRE(sink->write(records_of(0, 3, 5'000)));
    REQUIRE(sink->flush());
    CHECK(w.broker.waiting("postfleet.sink.s").size() == 3);
}

TEST_CASE("[F24][F25] a queue that is full or gone fails the flush") {
    World w;
    const auto sink = w.sink();
    w.broker.set_confirms(FakeBroker::Confirms::Refused);
    REQUIRE(sink->write(records_of(0, 10)));
    CHECK_FALSE(sink->flush());
    w.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    w.broker.remove_queue("postfleet.sink.s");
    REQUIRE(sink->write(records_of(0, 10)));
    const Status gone = sink->flush();
    REQUIRE_FALSE(gone);
    CHECK(gone.error().kind == ErrorKind::NotFound);
}

TEST_CASE(
    "what came through the queue is read with the source and sequence of its sender, and acknowledged when passed") {
    World w;
    w.publish(0, 150);
    const auto log = w.log();
    CHECK(w.read(*log).size() == 150);
    const auto events = log->read(0, 1);
    REQUIRE(events);
    CHECK(*events->at(0).source == "/senders/a");
    CHECK(events->at(0).sequence == 100);
    CHECK(w.broker.unsettled("postfleet.sink.s") == 2);
    // A batch is acknowledged as a whole.
    REQUIRE(log->advance("s", 99));
    w.executor.run_until_idle();
    CHECK(w.broker.unsettled("postfleet.sink.s") == 2);
    REQUIRE(log->advance("s", 100));
    w.executor.run_until_idle();
    CHECK(w.broker.unsettled("postfleet.sink.s") == 1);
    REQUIRE(log->advance("s", 150));
    w.executor.run_until_idle();
    CHECK(w.broker.unsettled("postfleet.sink.s") == 0);
    CHECK(log->last_number() == 150);
    CHECK(log->octets_after(150) == 0);
}

TEST_CASE("what a process had not passed comes to the next one") {
    World w;
    w.publish(0, 10);
    {
        const auto log = w.log();
        CHECK(w.read(*log).size() == 10);
    }
    w.executor.run_until_idle();
    const auto next = w.log();
    CHECK(w.read(*next).size() == 10);
}

TEST_CASE("after a lost connection events come again, and nothing is read twice in a row") {
    World w;
    w.publish(0, 10);
    const auto log = w.log();
    CHECK(w.read(*log).size() == 10);
    w.broker.lose_connections();
    const auto again = w.read(*log, 10);
    CHECK(again.size() == 10);
    const auto events = log->read(0, 100);
    REQUIRE(events);
    REQUIRE(events->size() == 10);
    REQUIRE(log->advance("s", events->back().number));
    w.executor.run_until_idle();
    CHECK(w.broker.unsettled("postfleet.sink.s") == 0);
    CHECK(w.broker.waiting("postfleet.sink.s").empty());
}

TEST_CASE("[F27] a batch that cannot be read is put aside; its neighbours are read") {
    World w;
    w.publish(0, 5);
    const auto publisher = w.broker.publisher();
    BrokerMessage poison;
    poison.body = std::make_shared<const std::string>("no protobuf");
    poison.message_id = "poison";
    publisher->publish({"postfleet.events", "postfleet.sink.s"}, poison, {&w.executor, [](Status) {}});
    w.executor.run_until_idle();
    w.publish(5, 5);
    const auto log = w.log();
    CHECK(w.read(*log).size() == 10);
    CHECK(w.broker.unsettled("postfleet.sink.s") == 2);
    CHECK(w.broker.waiting("dead").size() == 1);
}

TEST_CASE("a log takes no more from the broker than its sink can pass on") {
    World w;
    for (int i = 0; i < 20; ++i) w.publish(i, 1);
    const auto log = w.log(5);
    CHECK(w.read(*log).size() == 5);
    REQUIRE(log->advance("s", 3));
    CHECK(w.read(*log, 3).size() == 5);
}

TEST_CASE("the carrier of a process takes events from a queue to a sink, whose failures cost nothing but time") {
    World w;
    struct Place {
        std::mutex mutex;
        std::vector<std::string> flushed;
        int failures = 3;
    } place;
    class Sink final : public ReportSink {
    public:
        explicit Sink(Place& into) : into_(into) {}
        Status write(std::span<const ReportRecord> records) override {
            for (const ReportRecord& record : records) written_.push_back(record.text);
            return {};
        }
        Status flush() override {
            const std::lock_guard lock(into_.mutex);
            const auto written = std::exchange(written_, {});
            if (into_.failures-- > 0) return Error{ErrorKind::Unavailable, "away"};
            into_.flushed.insert(into_.flushed.end(), written.begin(), written.end());
            return {};
        }

    private:
        Place& into_;
        std::vector<std::string> written_;
    };
    w.publish(0, 500);
    const auto log = w.log();
    Metrics metrics;
    reporting::CarrierOptions options;
    options.flush_interval = options.gather_interval = options.first_backoff = options.last_backoff = 1ms;
    reporting::EventCarrier carrier(*log, options, metrics, Log());
    carrier.start({{.name = "s", .fingerprint = "s", .open = [&]() -> Result<std::unique_ptr<ReportSink>> {
                        return std::unique_ptr<ReportSink>(new Sink(place));
                    }}});
    const auto flushed = [&] {
        const std::lock_guard lock(place.mutex);
        return place.flushed.size();
    };
    for (const SteadyTime until = steady_clock_now() + 60s; flushed() < 500 && steady_clock_now() < until;) {
        w.executor.run_until_idle();
        std::this_thread::sleep_for(1ms);
    }
    carrier.stop();
    w.executor.run_until_idle();
    CHECK(w.broker.unsettled("postfleet.sink.s") == 0);
    CHECK(place.flushed.size() == 500);
    CHECK(place.flushed[0].find("\"source\":\"/senders/a\"") != std::string::npos);
    CHECK(place.flushed[7].find("\"sequence\":107") != std::string::npos);
}
