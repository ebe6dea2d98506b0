#include "postfleet/event_queues/event_queue_sinks.hpp"

#include "postfleet/config/accounting.hpp"
#include "postfleet/event_queues/event_batch_sink.hpp"

namespace postfleet::event_queues {
namespace {

reporting::SinkSetup queue_of(const config::Report& report, const EventQueueOptions& options) {
    reporting::SinkSetup setup = event_queue_sink(report.name, options);
    setup.types = config::reported_events(report);
    setup.quota = report.quota;
    setup.when_full =
        report.on_full == config::WhenReportsFull::Pause ? reporting::WhenFull::Pause : reporting::WhenFull::DropOldest;
    setup.fingerprint = std::to_string(report.quota) + "\n" + std::to_string(static_cast<int>(report.on_full));
    for (const EventType type : setup.types) setup.fingerprint += std::string("\n") + to_string(type);
    return setup;
}

}  // namespace

reporting::SinkSetup event_queue_sink(const std::string& name, const EventQueueOptions& options) {
    reporting::SinkSetup setup;
    setup.name = name;
    // The events go as they are; feedback renders them.
    setup.render = [](const LoggedEvent&, std::string&) { return true; };
    setup.open = [options, name]() -> Result<std::unique_ptr<ReportSink>> {
        return event_batch_sink(options.make_publisher(name),
                                {.sink = name, .source = options.source, .log = options.log});
    };
    // open() connects.
    setup.check = [] { return Status(); };
    return setup;
}

std::vector<reporting::SinkSetup> event_queue_sinks(const config::Config& config, const EventQueueOptions& options) {
    std::vector<reporting::SinkSetup> sinks;
    for (const config::Report& report : config.reports) sinks.push_back(queue_of(report, options));
    return sinks;
}

}  // namespace postfleet::event_queues
