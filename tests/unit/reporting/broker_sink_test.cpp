#include "postfleet/reporting/broker_sink.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "postfleet/support/fake_broker.hpp"

using namespace postfleet;
using namespace postfleet::reporting;
using namespace std::chrono_literals;
using support::FakeBroker;

namespace {

constexpr const char* kExchange = "postfleet.reports";

struct World {
    FakeBroker broker;
    std::vector<EventId> refused;

    World() {
        broker.declare_queue("reports");
        broker.bind(kExchange, "#", "reports");
    }
    std::unique_ptr<ReportSink> sink(Duration deadline = 20s, std::size_t window = 1'000) {
        return broker_sink(broker.publisher(),
                           {.exchange = kExchange,
                            .window = window,
                            .deadline = deadline,
                            .refused = [this](EventId id, const std::string&) { refused.push_back(id); }});
    }
};

std::vector<ReportRecord> records_of(int count, int first = 0) {
    std::vector<ReportRecord> records;
    auto message = std::make_shared<Message>();
    message->tenant = "acme";
    message->job = "spring";
    message->pool = "bulk";
    for (int i = first; i < first + count; ++i) {
        auto event = std::make_shared<Event>();
        event->id.octets[0] = static_cast<std::uint8_t>(i);
        event->id.octets[1] = static_cast<std::uint8_t>(i >> 8);
        event->type = EventType::Delivered;
        event->message = message;
        event->recipient = "r" + std::to_string(i) + "@dest.test";
        event->virtual_mta = "v1";
        records.push_back({"{\"n\":" + std::to_string(i) + "}", std::move(event)});
    }
    return records;
}

}  // namespace

TEST_CASE("an event is published once, as JSON, with its routing key, id and headers") {
    World w;
    const auto sink = w.sink();
    const auto records = records_of(1);
    REQUIRE(sink->write(records));
    REQUIRE(sink->flush());
    const auto published = w.broker.published();
    REQUIRE(published.size() == 1);
    CHECK(published[0].from.exchange == kExchange);
    CHECK(published[0].from.routing_key == "email.delivered.acme.bulk");
    const BrokerMessage& message = published[0].message;
    CHECK(*message.body == "{\"n\":0}");
    CHECK(message.content_type == "application/cloudevents+json");
    CHECK(message.message_id == records[0].event->id.to_string());
    CHECK(message.type == "email.delivered");
    const BrokerHeaders expected{
        {"tenant", "acme"}, {"job", "spring"}, {"pool", "bulk"}, {"virtual_mta", "v1"}, {"recipient", "r0@dest.test"}};
    CHECK(message.headers == expected);
}

TEST_CASE("flush() is ok only when the broker has confirmed everything") {
    World w;
    w.broker.set_confirms(FakeBroker::Confirms::Hold);
    const auto sink = w.sink();
    REQUIRE(sink->write(records_of(50)));
    std::thread confirming([&] {
        while (w.broker.held_confirms() < 50) std::this_thread::yield();
        w.broker.release_confirms();
    });
    CHECK(sink->flush());
    confirming.join();
    CHECK(w.broker.waiting("reports").size() == 50);
}

TEST_CASE("no more than the window is published before the broker confirms some") {
    World w;
    w.broker.set_confirms(FakeBroker::Confirms::Hold);
    const auto sink = w.sink(200ms, 10);
    const Status written = sink->write(records_of(50));
    REQUIRE_FALSE(written);
    CHECK(written.error().kind == ErrorKind::DeadlineExceeded);
    CHECK(w.broker.published().size() == 10);
}

TEST_CASE("[F24] a queue that is full and refuses fails the flush; nothing is lost when there is room again") {
    World w;
    w.broker.declare_queue("small", {.most_octets = 30});
    w.broker.bind(kExchange, "#", "small");
    const auto sink = w.sink();
    Status done = sink->write(records_of(10));
    if (done) done = sink->flush();
    REQUIRE_FALSE(done);
    w.broker.remove_queue("small");
    REQUIRE(sink->write(records_of(10)));
    REQUIRE(sink->flush());
    std::vector<std::string> bodies;
    for (const BrokerMessage& message : w.broker.waiting("reports")) bodies.push_back(*message.body);
    for (int i = 0; i < 10; ++i) {
        CHECK(std::count(bodies.begin(), bodies.end(), "{\"n\":" + std::to_string(i) + "}") >= 1);
    }
}

TEST_CASE("[F25] an exchange that no queue is bound to fails the flush") {
    World w;
    w.broker.remove_queue("reports");
    const auto sink = w.sink();
    Status done = sink->write(records_of(3));
    if (done) done = sink->flush();
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::NotFound);
}

TEST_CASE("confirms that are lost fail the flush, and what was written again is a new turn") {
    World w;
    w.broker.set_confirms(FakeBroker::Confirms::Lost);
    const auto sink = w.sink();
    Status done = sink->write(records_of(3));
    if (done) done = sink->flush();
    REQUIRE_FALSE(done);
    w.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    REQUIRE(sink->write(records_of(3)));
    CHECK(sink->flush());
    CHECK(w.broker.waiting("reports").size() > 3);  // some are there twice, with the same id
}

TEST_CASE("late confirms of a turn that was given up count for nothing") {
    World w;
    w.broker.set_confirms(FakeBroker::Confirms::Hold);
    const auto sink = w.sink(50ms);
    REQUIRE(sink->write(records_of(3)));
    REQUIRE_FALSE(sink->flush());
    REQUIRE(sink->write(records_of(3, 10)));
    // The first three arrive now; the three behind them are still open.
    w.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    w.broker.release_confirms();
    CHECK(sink->flush());
}

TEST_CASE("a broker that is away fails the flush and gets everything when it is back") {
    World w;
    w.broker.go_away("connection refused");
    const auto sink = w.sink();
    Status done = sink->write(records_of(3));
    if (done) done = sink->flush();
    REQUIRE_FALSE(done);
    w.broker.come_back();
    REQUIRE(sink->write(records_of(3)));
    CHECK(sink->flush());
    CHECK(w.broker.waiting("reports").size() == 3);
}

TEST_CASE("a stop ends the wait for a broker that does not confirm") {
    World w;
    w.broker.set_confirms(FakeBroker::Confirms::Hold);
    const auto sink = w.sink(1h);
    REQUIRE(sink->write(records_of(3)));
    std::thread stopping([&] { sink->finish_by(steady_clock_now() + 50ms); });
    CHECK_FALSE(sink->flush());
    stopping.join();
}
