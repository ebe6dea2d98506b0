#include "server.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "checks.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/feedback/sinks.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "postfleet/sender_edge/source_addresses.hpp"
#include "render_intake.hpp"

namespace postfleet::standalone {

using control::ControlCommands;
using control::ControlPorts;

using service_host::Drained;

namespace {

// Of the grace period, so that the sender has most of it for its transactions.
constexpr int kIngestShare = 3;

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const std::string& config_path) {
    // As others will see it in `status`, wherever they are.
    std::error_code failed;
    const std::filesystem::path absolute = std::filesystem::absolute(config_path, failed);
    std::unique_ptr<Server> server(new Server(failed ? config_path : absolute.lexically_normal().string()));
    if (Status started = server->start_all(); !started) return started.error();
    return server;
}

Server::~Server() { stop_all(); }

Status Server::start_all() {
    // Signals are blocked before the first thread starts, so that only the main thread sees them.
    auto host = service_host::ServiceHost::create();
    if (!host) return host.error();
    host_ = *std::move(host);
    for (const auto step : {&Server::load_configuration, &Server::open_log, &Server::open_spool, &Server::start_admin,
                            &Server::make_sender, &Server::open_doors, &Server::start_work}) {
        if (Status done = (this->*step)(); !done) return done;
    }
    host_->report_running();
    host_->log()
        .line(LogLevel::Info, "started")
        .field("version", runtime::build_info().version)
        .field("shards", host_->loops().size())
        .field("config", config_path_)
        .field("config_version", configuration()->version);
    return {};
}

Status Server::load_configuration() {
    const config::LoadResult loaded = config_files::load_path(config_path_);
    if (!loaded.config) return describe_problems(config_path_, loaded.problems);
    config_ = loaded.config;
    config_loaded_at_ = wall_clock_now();
    watch_ = std::make_unique<runtime::ConfigWatch>(config_path_);
    if (Status prepared = prepare_data_directory(*config_); !prepared) return prepared;
    return sender::check_source_addresses(*config_);
}

Status Server::open_log() {
    const config::LogSettings& settings = config_->log;
    Status opened = host_->open_log({settings.path, settings.level, settings.rotate_size, settings.keep});
    if (!opened) return Error{opened.error().kind, "log.path: " + opened.error().text};
    return {};
}

Status Server::start_admin() {
    if (Status made = host_->make_shards(config_->shards); !made) return made;
    add_readiness_checks();
    if (!config_->http) return {};
    if (Status started = host_->open_admin(config_->http->address); !started) {
        return Error{started.error().kind, config_->http->origin.to_string() + ": http.address: " +
                                               started.error().text + "; choose another address or port"};
    }
    return {};
}

Status Server::open_spool() {
    const config::Spool& settings = config_->spool;
    spool::RocksSpoolOptions options;
    options.directory = spool_directory(*config_);
    options.min_free = settings.min_free;
    options.max_in_flight = settings.max_in_flight;
    options.taken_window = settings.remember_taken;
    options.log = host_->log();
    auto opened = spool::RocksSpool::open(std::move(options));
    if (!opened) return opened.error();
    spool_ = std::move(*opened);
    spool_->register_metrics(host_->metrics());
    auto state = sqlite::open_state_store(config_->data_dir + "/state.db");
    if (!state) return state.error();
    state_ = std::move(*state);
    return {};
}

Status Server::make_sender() {
    auto parts = sender::SenderParts::make(*config_, host_->loops().loops(), host_->metrics(), host_->log());
    if (!parts) return parts.error();
    parts_ = *std::move(parts);
    auto configuration = parts_->load(config_);
    if (!configuration) return configuration.error();
    sender_ = std::make_unique<sender::Sender>(parts_->dependencies(*spool_, *state_), *std::move(configuration));
    return {};
}

// Whatever can be refused comes before the first delivery: a start that fails interrupts no transaction. The
// loops do not run yet, so connections wait.
Status Server::open_doors() {
    for (const reporting::SinkSetup& sink : feedback::report_sinks(*config_, host_->metrics(), host_->log())) {
        // A path that can never be written is told now; what fails later is retried.
        if (const Status usable = feedback::check_sink(sink); !usable) {
            return Error{usable.error().kind, "reports: " + sink.name + ": " + usable.error().text};
        }
    }
    reporting::CarrierOptions options;
    options.source.uri = "/senders/" + config_->hostname;
    feedback_ = std::make_unique<reporting::EventCarrier>(*spool_, std::move(options), host_->metrics(), host_->log());
    handover_ = std::make_unique<reporting::GatedHandover>(sender_->handover(), *feedback_);
    auto our_mail = maildir::MaildirIntake::open(
        {.directory = config_->data_dir + "/intake", .max_octets = config_->intake.max_size}, host_->metrics(),
        host_->log());
    if (!our_mail) return our_mail.error();
    our_mail_ = std::move(*our_mail);
    ingest_ =
        std::make_unique<ingest::SmtpListenerService>(ingest::IngestDependencies{.loops = host_->loops().loops(),
                                                                                 .handover = *handover_,
                                                                                 .metrics = host_->metrics(),
                                                                                 .log = host_->log(),
                                                                                 .feedback_intake = our_mail_.get()});
    if (Status started = ingest_->start({config_, routing::Snapshot::compile(*config_)}); !started) return started;

    pickups_ = std::make_unique<ingest::PickupService>(
        ingest::PickupDependencies{.handover = *handover_, .metrics = host_->metrics(), .log = host_->log()});
    if (Status opened = pickups_->open({config_, routing::Snapshot::compile(*config_)}); !opened) return opened;

    submissions_ = std::make_unique<ingest::SubmissionService>(
        ingest::SubmissionDependencies{.handover = *handover_,
                                       .keys = state_.get(),
                                       .metrics = host_->metrics(),
                                       .log = host_->log(),
                                       .directory = config_->data_dir + "/submissions"});
    if (Status opened = submissions_->open({config_, routing::Snapshot::compile(*config_)}); !opened) return opened;

    grpc_ = std::make_unique<ingest::GrpcListenerService>(ingest::GrpcDependencies{.handover = *handover_,
                                                                                   .keys = state_.get(),
                                                                                   .logins = ingest_->logins(),
                                                                                   .metrics = host_->metrics(),
                                                                                   .log = host_->log()});
    if (Status opened = grpc_->open({config_, routing::Snapshot::compile(*config_)}); !opened) return opened;

    commands_ = std::make_unique<ControlCommands>(ControlPorts{
        .executor = host_->loops()[0],
        .sender = sender_->control(),
        .outbox = *spool_,
        .render_status = [this](const SenderStatus& sender) { return render_status_now(sender); },
        .configuration = [this] { return configuration(); },
        .reload = [this] { return reload(); },
        .render_intake =
            [this](std::size_t limit) { return render_intake(our_mail_->statistics(), our_mail_->list(limit)); },
        .resolver = parts_->resolver(),
        .http = &parts_->http()});
    control_ = std::make_unique<runtime::ControlServer>(
        config_->control_socket, [this](const runtime::ControlRequest& request) { return commands_->run(request); });
    return control_->start();
}

Status Server::start_work() {
    if (Status started = sender_->start(); !started) return started;
    feedback_->start(feedback::report_sinks(*config_, host_->metrics(), host_->log()));
    host_->loops().start();
    const std::lock_guard lock(operations_);
    pickups_->start();
    submissions_->start();
    grpc_->start();
    return {};
}

int Server::run() {
    host_->run({.on_reload = [this] { reload_by_itself("SIGHUP"); }, .on_tick = [this] { on_tick(); }});
    host_->log()
        .line(LogLevel::Info, "stopping")
        .field("because", host_->main_loop().stop_reason())
        .field("grace", format_duration(configuration()->shutdown_grace));
    const Drained drained = drain();
    if (drained == Drained::Hurried) host_->leave_at_once();
    stop_all();
    host_->log()
        .line(LogLevel::Info, "stopped")
        .field("drained", drained == Drained::Quiet ? "yes" : "no, the grace was over");
    host_->log_sink().flush();
    return 0;
}

Drained Server::drain() {
    const SteadyTime start = steady_clock_now();
    const Duration grace = configuration()->shutdown_grace;
    const SteadyTime doors_closed = start + grace / kIngestShare;
    const Drained ingest = host_->await_drain(doors_closed, [&](Completion<Status> done) {
        const std::lock_guard lock(operations_);
        ingest_->drain(doors_closed, std::move(done));
    });
    if (ingest == Drained::Hurried) return ingest;
    const Drained pickups = host_->await_drain(doors_closed, [&](Completion<Status> done) {
        const std::lock_guard lock(operations_);
        pickups_->drain(std::move(done));
    });
    if (pickups == Drained::Hurried) return pickups;
    const Drained submissions = host_->await_drain(doors_closed, [&](Completion<Status> done) {
        const std::lock_guard lock(operations_);
        submissions_->drain(std::move(done));
    });
    if (submissions == Drained::Hurried) return submissions;
    const Drained calls = host_->await_drain(doors_closed, [&](Completion<Status> done) {
        const std::lock_guard lock(operations_);
        grpc_->drain(std::move(done));
    });
    if (calls == Drained::Hurried) return calls;
    return host_->await_drain(start + grace,
                              [&](Completion<Status> done) { sender_->drain(start + grace, std::move(done)); });
}

// Also after a start that failed half-way: whatever is there is stopped, callers before those they call.
void Server::stop_all() {
    if (control_) control_->stop();
    if (host_) host_->stop_admin();
    if (pickups_) pickups_->stop();
    if (submissions_) submissions_->stop();
    if (grpc_) grpc_->stop();
    if (host_) host_->stop_shards();
    ingest_.reset();
    our_mail_.reset();
    if (feedback_) feedback_->stop();
    if (parts_) parts_->stop_workers();
    sender_.reset();
    parts_.reset();
    state_.reset();
    if (spool_) spool_->stop();
    spool_.reset();
    submissions_.reset();  // whom the spool answered
    grpc_.reset();
    pickups_.reset();
    handover_.reset();
    feedback_.reset();
}

Server::ConfigPointer Server::configuration() const {
    const std::lock_guard lock(config_mutex_);
    return config_;
}

}  // namespace postfleet::standalone
