// Both ends of a cluster's reports, by configuration: a sender's outbox, queues, feedback processes, sinks.
#include "postfleet/feedback/queue_feedback.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "postfleet/event_queues/event_queue_sinks.hpp"
#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/manual_executor.hpp"

using namespace postfleet;
using namespace postfleet::feedback;
using namespace std::chrono_literals;

namespace {

// What reached a sink, by event id. `failing`: it is away.
struct Place {
    std::mutex mutex;
    std::multiset<std::string> ids;
    bool failing = false;

    std::size_t size() {
        const std::lock_guard lock(mutex);
        return ids.size();
    }
    void fail(bool on) {
        const std::lock_guard lock(mutex);
        failing = on;
    }
};

class PlaceSink final : public ReportSink {
public:
    explicit PlaceSink(Place& place) : place_(place) {}
    Status write(std::span<const ReportRecord> records) override {
        for (const ReportRecord& record : records) written_.push_back(record.event->id.to_string());
        return {};
    }
    Status flush() override {
        const std::lock_guard lock(place_.mutex);
        const auto written = std::exchange(written_, {});
        if (place_.failing) return Error{ErrorKind::Unavailable, "away"};
        place_.ids.insert(written.begin(), written.end());
        return {};
    }

private:
    Place& place_;
    std::vector<std::string> written_;
};

reporting::CarrierOptions quick() {
    reporting::CarrierOptions options;
    options.flush_interval = options.gather_interval = options.first_backoff = options.last_backoff = 1ms;
    return options;
}

std::vector<ReportRecord> records_of(int first, int count) {
    std::vector<ReportRecord> records;
    for (int i = first; i < first + count; ++i) {
        auto event = std::make_shared<Event>();
        event->id.octets[0] = static_cast<std::uint8_t>(i);
        event->id.octets[1] = static_cast<std::uint8_t>(i >> 8);
        event->type = i % 2 == 0 ? EventType::Accepted : EventType::Bounced;
        event->queue = "dest.test/v1";
        records.push_back({.text = {}, .event = std::move(event), .number = static_cast<std::uint64_t>(i + 1)});
    }
    return records;
}

struct World {
    support::ManualExecutor executor;
    support::FakeBroker broker;
    Metrics metrics;
    config::Config config;
    std::map<std::string, Place> places;

    World() {
        for (const char* name : {"all", "bounces"}) {
            const std::string queue = std::string("postfleet.sink.") + name;
            broker.declare_queue(queue);
            broker.bind("postfleet.events", queue, queue);
            config::Report report;
            report.name = name;
            report.types = {EventType::Accepted, EventType::Bounced};
            config.reports.push_back(report);
        }
        config.reports[1].types = {EventType::Bounced};
    }
    std::vector<reporting::SinkSetup> queues() {
        return event_queues::event_queue_sinks(
            config,
            {.make_publisher = [this](const std::string&) { return broker.publisher(); }, .source = "/senders/a"});
    }
    std::vector<reporting::SinkSetup> sinks() {
        std::vector<reporting::SinkSetup> setups;
        for (const config::Report& report : config.reports) {
            setups.push_back({.name = report.name,
                              .fingerprint = report.name,
                              .open = [this, name = report.name]() -> Result<std::unique_ptr<ReportSink>> {
                                  return std::unique_ptr<ReportSink>(new PlaceSink(places[name]));
                              }});
        }
        return setups;
    }
    QueueFeedback feedback() {
        return QueueFeedback([this](BrokerConsumerOptions options) { return broker.consumer(std::move(options)); },
                             executor, quick(), metrics, Log());
    }
    // As the carrier of a sender does, for one sink.
    void publish(const reporting::SinkSetup& setup, int first, int count) {
        auto sink = setup.open();
        REQUIRE(sink);
        REQUIRE((*sink)->write(records_of(first, count)));
        REQUIRE((*sink)->flush());
    }
    bool wait_for(const std::string& name, std::size_t count) {
        for (const SteadyTime until = steady_clock_now() + 60s; places[name].size() < count;) {
            if (steady_clock_now() > until) return false;
            executor.run_until_idle();
            std::this_thread::sleep_for(1ms);
        }
        return true;
    }
};

}  // namespace

TEST_CASE("a sender has one queue per report, with the types, quota and on_full of the report") {
    World w;
    w.config.reports[1].quota = 5 << 20;
    w.config.reports[1].on_full = config::WhenReportsFull::Pause;
    const auto queues = w.queues();
    REQUIRE(queues.size() == 2);
    CHECK(queues[1].name == "bounces");
    CHECK(queues[1].types == std::vector{EventType::Bounced});
    CHECK(queues[1].quota == 5 << 20);
    CHECK(queues[1].when_full == reporting::WhenFull::Pause);
    CHECK(queues[0].fingerprint != queues[1].fingerprint);
}

TEST_CASE("each queue is carried to its sink, and a sink that is away holds up no other") {
    World w;
    w.places["all"];
    w.places["bounces"].fail(true);
    w.publish(w.queues()[0], 0, 300);
    w.publish(w.queues()[1], 0, 300);
    auto feedback = w.feedback();
    feedback.reconfigure(w.sinks());
    CHECK(w.wait_for("all", 300));
    CHECK(w.places["bounces"].size() == 0);
    w.places["bounces"].fail(false);
    CHECK(w.wait_for("bounces", 300));
    feedback.stop();
    w.executor.run_until_idle();
    CHECK(w.broker.unsettled("postfleet.sink.all") + w.broker.unsettled("postfleet.sink.bounces") == 0);
}

TEST_CASE("[F05] what a process had not acknowledged when it ended reaches the sink by the next one") {
    World w;
    w.places["all"].fail(true);
    w.places["bounces"];
    w.publish(w.queues()[0], 0, 250);
    {
        auto feedback = w.feedback();
        feedback.reconfigure(w.sinks());
        w.executor.run_until_idle();
    }
    w.executor.run_until_idle();
    w.places["all"].fail(false);
    auto next = w.feedback();
    next.reconfigure(w.sinks());
    CHECK(w.wait_for("all", 250));
    const std::set<std::string> different(w.places["all"].ids.begin(), w.places["all"].ids.end());
    CHECK(different.size() == 250);
}

TEST_CASE("a reload ends the reports that are gone and starts new ones") {
    World w;
    w.places["all"];
    w.places["bounces"];
    auto feedback = w.feedback();
    auto sinks = w.sinks();
    feedback.reconfigure({sinks[0]});
    CHECK(feedback.status().size() == 1);
    feedback.reconfigure({sinks[1]});
    CHECK(feedback.status().at(0).name == "bounces");
    w.publish(w.queues()[1], 0, 10);
    CHECK(w.wait_for("bounces", 10));
    CHECK(feedback.obstacle().empty());
}
