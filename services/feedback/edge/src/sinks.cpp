#include "postfleet/feedback/sinks.hpp"

#include "amqp_report.hpp"
#include "file_sink.hpp"
#include "kafka_report.hpp"
#include "postfleet/config/accounting.hpp"
#include "refusals.hpp"

namespace postfleet::feedback {
namespace {

reporting::SinkSetup report_sink(const config::Report& report, Metrics& metrics, const Log& log) {
    switch (report.type) {
        case config::ReportType::File:
        case config::ReportType::Accounting: return file_sink(report, log);
        case config::ReportType::Amqp:
            return amqp_report(report, metrics, log, tell_refusals(report.name, metrics, log));
        case config::ReportType::Kafka: return kafka_report(report, tell_refusals(report.name, metrics, log));
    }
    return {};
}

}  // namespace

std::function<void(EventId, const std::string&)> tell_refusals(const std::string& sink, Metrics& metrics, Log log) {
    Counter& counter = metrics.counter("postfleet_report_events_refused_total",
                                       "Events that a report sink would never take.", {{"sink", sink}});
    return [sink, &counter, log](EventId event, const std::string& why) {
        counter.add();
        log.line(LogLevel::Error, "report-event-refused")
            .field("sink", sink)
            .field("event", event.to_string())
            .field("because", why);
    };
}

Status check_sink(const reporting::SinkSetup& sink) {
    if (sink.check) return sink.check();
    const auto opened = sink.open();
    return opened ? Status() : Status(opened.error());
}

std::vector<reporting::SinkSetup> report_sinks(const config::Config& config, Metrics& metrics, const Log& log) {
    std::vector<reporting::SinkSetup> sinks;
    for (const config::Report& report : config.reports) {
        reporting::SinkSetup sink = report_sink(report, metrics, log);
        sink.name = report.name;
        sink.types = config::reported_events(report);
        sink.quota = report.quota;
        sink.when_full = report.on_full == config::WhenReportsFull::Pause ? reporting::WhenFull::Pause
                                                                          : reporting::WhenFull::DropOldest;
        sink.fingerprint +=
            "\n" + std::to_string(report.quota) + "\n" + std::to_string(static_cast<int>(report.on_full));
        for (const EventType type : sink.types) sink.fingerprint += std::string("\n") + to_string(type);
        sinks.push_back(std::move(sink));
    }
    return sinks;
}

}  // namespace postfleet::feedback
