#include "amqp_report.hpp"

#include <fmt/format.h>

#include "postfleet/amqp/broker.hpp"
#include "postfleet/config_files/passwords.hpp"
#include "postfleet/reporting/broker_sink.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::feedback {
namespace {

constexpr std::string_view kNoQueue = "none";

wire::BrokerTopology topology_of(const config::Report& report) {
    return wire::reports_topology(
        report.amqp.exchange, report.amqp.queue == kNoQueue ? std::string() : report.amqp.queue, report.quota,
        report.on_full == config::WhenReportsFull::Pause ? wire::WhenFull::Refuse : wire::WhenFull::DropOldest);
}

// The sink with the connection that it alone uses.
class ConnectedSink final : public ReportSink {
public:
    ConnectedSink(amqp::BrokerOptions broker, amqp::PublisherOptions publisher, reporting::BrokerSinkOptions sink)
        : broker_(std::move(broker)),
          sink_(reporting::broker_sink(broker_.publisher(std::move(publisher)), std::move(sink))) {}

    Status write(std::span<const ReportRecord> records) override { return sink_->write(records); }
    Status flush() override { return sink_->flush(); }
    void finish_by(SteadyTime when) override { sink_->finish_by(when); }

private:
    amqp::Broker broker_;
    std::unique_ptr<ReportSink> sink_;  // destroyed first, with the publisher
};

}  // namespace

reporting::SinkSetup amqp_report(const config::Report& report, Metrics& metrics, const Log& log,
                                 std::function<void(EventId, const std::string& why)> refused) {
    amqp::BrokerOptions broker{.access = report.broker,
                               .topology = topology_of(report),
                               .name = "postfleet report " + report.name,
                               .log = log,
                               .metrics = &metrics};
    amqp::PublisherOptions publisher{.name = "report-" + report.name};
    reporting::BrokerSinkOptions sink{
        .exchange = report.amqp.exchange, .window = publisher.most_unconfirmed, .refused = std::move(refused)};
    const config::BrokerAccess& access = report.broker;
    reporting::SinkSetup setup;
    setup.fingerprint = fmt::format("amqp\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", access.url.to_string(), access.url.password,
                                    access.password_file, access.ca_file, access.certificate, access.private_key,
                                    report.amqp.exchange, report.amqp.queue);
    setup.open = [broker, publisher, sink]() -> Result<std::unique_ptr<ReportSink>> {
        return std::unique_ptr<ReportSink>(std::make_unique<ConnectedSink>(broker, publisher, sink));
    };
    // Not open(), which connects.
    setup.check = [file = access.password_file]() -> Status {
        if (file.empty()) return {};
        const auto password = config_files::read_secret(file);
        return password ? Status() : Status(password.error());
    };
    return setup;
}

}  // namespace postfleet::feedback
