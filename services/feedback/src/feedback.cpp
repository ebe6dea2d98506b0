#include "feedback.hpp"

#include <fmt/format.h>

#include "postfleet/config/accounting.hpp"
#include "postfleet/control/message_history.hpp"
#include "postfleet/feedback/sinks.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::feedback {

using cluster_member::ConfigPointer;

namespace {

wire::BrokerTopology topology_of(const config::Config& config) {
    std::vector<std::string> sinks;
    for (const config::Report& report : config.reports) sinks.push_back(report.name);
    return wire::events_topology(sinks);
}

}  // namespace

Result<std::unique_ptr<Feedback>> Feedback::start(cluster_member::MemberOptions options) {
    std::unique_ptr<Feedback> feedback(new Feedback(std::move(options)));
    if (Status started = feedback->start_all(); !started) return started.error();
    return feedback;
}

Feedback::~Feedback() {
    if (member_) member_->stop_answering();
    if (host_) host_->stop_admin();
    reports_.reset();  // flushes what its sinks have, while the shards still run
    if (host_) host_->stop_shards();
}

Status Feedback::start_all() {
    // Signals are blocked before the first thread starts, so that only the main thread sees them.
    auto host = service_host::ServiceHost::create();
    if (!host) return host.error();
    host_ = *std::move(host);
    if (Status opened = host_->open_log({.path = options_.log, .level = options_.log_level}); !opened) return opened;
    auto member = cluster_member::Membership::join(options_, *host_, "feedback", false);
    if (!member) return member.error();
    member_ = *std::move(member);
    const config::Config& config = *member_->configuration();
    if (Status usable = check_sinks(config); !usable) return usable;
    if (Status made = host_->make_shards(1); !made) return made;
    broker_ = std::make_unique<amqp::Broker>(amqp::BrokerOptions{.access = options_.broker,
                                                                 .topology = topology_of(config),
                                                                 .name = "postfleet-feedback " + options_.name,
                                                                 .log = host_->log(),
                                                                 .metrics = &host_->metrics()});
    host_->add_readiness_check("broker", [this] { return obstacle(); });
    if (Status opened = host_->open_admin(options_.http); !opened) {
        return Error{opened.error().kind, "--http " + options_.http.to_string() + ": " + opened.error().text};
    }
    reporting::CarrierOptions carrier;
    carrier.source.uri = "/feedback/" + options_.name;  // events bring the source of their sender
    reports_ = std::make_unique<QueueFeedback>(
        [this](BrokerConsumerOptions consumer) { return broker_->consumer(std::move(consumer)); },
        *host_->loops().loops().front(), std::move(carrier), host_->metrics(), host_->log());
    host_->start_shards();
    start_sinks(member_->configuration());
    if (Status opened = answer_operators(); !opened) return opened;
    host_->report_running();
    host_->log()
        .line(LogLevel::Info, "started")
        .field("version", runtime::build_info().version)
        .field("reports", config.reports.size())
        .field("broker", options_.broker.url.to_string())
        .field("epoch", member_->epoch());
    return {};
}

Status Feedback::check_sinks(const config::Config& config) {
    for (const reporting::SinkSetup& sink : report_sinks(config, host_->metrics(), host_->log())) {
        if (const Status usable = check_sink(sink); !usable) {
            return Error{usable.error().kind, "reports: " + sink.name + ": " + usable.error().text};
        }
    }
    return {};
}

void Feedback::on_tick() {
    member_->apply_new([this](const ConfigPointer& next) { return apply(next); });
}

Status Feedback::apply(const ConfigPointer& next) {
    broker_->declare(topology_of(*next));
    start_sinks(next);
    return {};
}

// What the report files of this process know of a message.
Status Feedback::answer_operators() {
    return member_->answer_operators(
        rpc::CommandService::FeedbackQuery, [this](const rpc::OperatorCommand& command) -> Result<std::string> {
            if (command.command != "history" || !command.arguments.contains("message")) {
                return Error{ErrorKind::InvalidArgument, "feedback answers `history` of a message, and nothing else"};
            }
            const auto message = MessageId::parse(command.arguments.at("message"));
            if (!message) return message.error();
            std::unique_lock lock(reports_mutex_);
            const ConfigPointer config = reported_;
            lock.unlock();
            return control::tell_history(*message, {.waiting = {}, .config = config});
        });
}

void Feedback::start_sinks(const ConfigPointer& config) {
    const std::lock_guard lock(reports_mutex_);
    reports_->reconfigure(report_sinks(*config, host_->metrics(), host_->log()));
    reported_ = config;
}

std::string Feedback::obstacle() const {
    const std::unique_lock lock(reports_mutex_, std::try_to_lock);
    if (!lock) return "the reports are being changed";
    return reports_ ? reports_->obstacle() : std::string();
}

int Feedback::run() {
    host_->run({.on_reload = [this] { on_tick(); }, .on_tick = [this] { on_tick(); }});
    host_->log().line(LogLevel::Info, "stopping").field("because", host_->main_loop().stop_reason());
    member_->stop_answering();
    {
        const std::lock_guard lock(reports_mutex_);
        reports_->stop();
    }
    host_->log().line(LogLevel::Info, "stopped");
    host_->log_sink().flush();
    return 0;
}

std::string Feedback::banner() const {
    std::string text = fmt::format("Postfleet feedback {} is ready, with epoch {} of the configuration.\n\n",
                                   runtime::build_info().version, member_->epoch());
    for (const config::Report& report : member_->configuration()->reports) {
        text += fmt::format("  report   {:<24} {}\n", report.name, config::place_of(report));
    }
    return text + fmt::format("  broker   {}\n  http     {:<24} /metrics, /healthz/live, /healthz/ready\n",
                              options_.broker.url.to_string(), host_->http()->local().to_string());
}

}  // namespace postfleet::feedback
