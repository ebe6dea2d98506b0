#include "sender_process.hpp"

#include <filesystem>
#include <future>
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "postfleet/sender_edge/source_addresses.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::sender {

using service_host::Drained;

namespace {

constexpr int kTakeInShare = 3;  // of the grace period

}  // namespace

Result<std::unique_ptr<SenderProcess>> SenderProcess::start(cluster_member::MemberOptions options, Purpose purpose) {
    std::unique_ptr<SenderProcess> process(new SenderProcess(std::move(options), purpose));
    if (Status started = process->start_all(); !started) return started.error();
    if (!process->is_wanted_) process.reset();
    return process;
}

SenderProcess::~SenderProcess() { stop_all(); }

Status SenderProcess::start_all() {
    // Signals are blocked before the first thread starts, so that only the main thread sees them.
    auto host = service_host::ServiceHost::create();
    if (!host) return host.error();
    host_ = *std::move(host);
    for (const auto step : {&SenderProcess::open_log, &SenderProcess::join, &SenderProcess::open_spool,
                            &SenderProcess::open_admin, &SenderProcess::await_name, &SenderProcess::make_sender,
                            &SenderProcess::open_door, &SenderProcess::start_work}) {
        if (Status done = (this->*step)(); !done) return done;
        if (!is_wanted_) return {};
        if (purpose_ == Purpose::Evacuate && name_) return {};  // it needs no sender
    }
    host_->report_running();
    host_->log()
        .line(LogLevel::Info, "started")
        .field("version", runtime::build_info().version)
        .field("sender", options_.name)
        .field("shards", host_->loops().size())
        .field("epoch", member_->epoch());
    return {};
}

Status SenderProcess::open_log() { return host_->open_log({.path = options_.log, .level = options_.log_level}); }

Status SenderProcess::join() {
    auto member = cluster_member::Membership::join(options_, *host_, "sender", true);
    if (!member) return member.error();
    member_ = *std::move(member);
    broker_ = std::make_unique<amqp::Broker>(amqp::BrokerOptions{.access = options_.broker,
                                                                 .topology = topology_of(*member_->configuration()),
                                                                 .name = "postfleet-sender " + options_.name,
                                                                 .log = host_->log(),
                                                                 .metrics = &host_->metrics()});
    return check_source_addresses(*member_->configuration(), options_.name);
}

wire::BrokerTopology SenderProcess::topology_of(const config::Config& config) const {
    wire::BrokerTopology topology = wire::deliver_topology(options_.name);
    if (purpose_ == Purpose::Evacuate) {  // those who get the mail need not have run before
        for (const auto& [name, mta] : config.virtual_mtas) topology += wire::deliver_topology(mta.sender);
    }
    std::vector<std::string> sinks;
    for (const config::Report& report : config.reports) sinks.push_back(report.name);
    topology += wire::events_topology(sinks);
    return topology;
}

Status SenderProcess::open_admin() {
    if (Status made = host_->make_shards(member_->configuration()->shards); !made) return made;
    add_readiness_checks();
    if (Status opened = host_->open_admin(options_.http); !opened) {
        return Error{opened.error().kind, "--http " + options_.http.to_string() + ": " + opened.error().text};
    }
    return {};
}

// --- what it waits for ---------------------------------------------------------------------------------

void SenderProcess::say_what_it_waits_for(const std::string& what) {
    if (what.empty() || what == waits_for_) return;
    waits_for_ = what;
    host_->log().line(LogLevel::Warning, "waiting").field("for", what);
}

Status SenderProcess::open_spool() {
    const config::Spool& settings = member_->configuration()->spool;
    spool::RocksSpoolOptions options;
    options.directory = options_.data_dir + "/spool";
    options.min_free = settings.min_free;
    options.max_in_flight = settings.max_in_flight;
    options.taken_window = settings.remember_taken;
    options.log = host_->log();
    auto opened = spool::RocksSpool::open(std::move(options));
    if (!opened) return opened.error();
    spool_ = *std::move(opened);
    spool_->register_metrics(host_->metrics());
    if (purpose_ != Purpose::Evacuate && is_being_evacuated(*spool_)) {
        return Error{ErrorKind::Unavailable,
                     "the spool in " + options_.data_dir +
                         " is being evacuated: some of its mail may be elsewhere already; end that "
                         "with --evacuate"};
    }
    return {};
}

Status SenderProcess::await_name() {
    auto loop = net::LoopGroup::create(1);
    if (!loop) return loop.error();
    name_loop_ = *std::move(loop);
    name_loop_->start();
    net::EpollLoop& on = (*name_loop_)[0];
    const std::string place = std::filesystem::absolute(options_.data_dir).lexically_normal().string();
    const SenderClaim claim{options_.name, spool_->spool_id(), config_files::machine_name() + ":" + place, 0};
    name_ = std::make_shared<NameHolder>(NameHolderPorts{.on = on,
                                                         .claims = member_->link().senders(),
                                                         .clock = steady_clock_with_suspend,
                                                         .allow_until =
                                                             [this](SteadyTime until) {
                                                                 if (Sender* const sender = holding_.load())
                                                                     sender->allow_until(until);
                                                             },
                                                         .lost =
                                                             [this](const std::string& why) {
                                                                 host_->main_loop().post([this, why] { lost_ = why; });
                                                                 host_->main_loop().request_stop();
                                                             },
                                                         .log = host_->log()},
                                         claim);
    member_->link().hold_sender(
        {.claim = claim,
         .on_granted = [name = name_,
                        &on](const SenderGrant& grant) { on.post([name, grant] { name->on_granted(grant); }); },
         .on_refused = [name = name_,
                        &on](const std::string& why) { on.post([name, why] { name->on_refused(why); }); }});
    is_wanted_ = host_->wait_to_start([this] {
        say_what_it_waits_for(name_->obstacle());
        return name_->may_start();
    });
    return {};
}

// --- the sender ----------------------------------------------------------------------------------------

Status SenderProcess::make_sender() {
    const ConfigPointer config = member_->configuration();
    auto parts = SenderParts::make(*config, host_->loops().loops(), host_->metrics(), host_->log());
    if (!parts) return parts.error();
    parts_ = *std::move(parts);
    auto configuration = parts_->load(config, options_.name);
    if (!configuration) return configuration.error();
    sender_ =
        std::make_unique<Sender>(parts_->dependencies(*spool_, member_->link().orders()), *std::move(configuration));
    // Until the next beat of the name: reading the spool may take longer than a grant of a moment ago is good for.
    sender_->allow_until(SteadyTime::min());
    return {};
}

Status SenderProcess::start_work() {
    if (Status started = sender_->start(); !started) return started;
    start_carrier();
    host_->start_shards();
    holding_ = sender_.get();
    // By way of the main thread, whose the sender is: when that has ended it, what still comes is for nobody.
    member_->link().on_orders([this](const OrderChanges& changes) {
        host_->main_loop().post([this, changes] {
            if (sender_) sender_->follow_orders(changes);
        });
    });
    suppressions_ = std::make_unique<SuppressionGate>(
        sender_->handover(),
        [this](AcceptedMessage message, std::vector<EndedTask> ended, Completion<Status> done) {
            sender_->hand_over_ended(std::move(message), std::move(ended), std::move(done));
        },
        member_->link().recipients(), host_->metrics());
    gate_ = std::make_unique<reporting::GatedHandover>(*suppressions_, *carrier_);
    publisher_ = broker_->publisher({.name = "overflow"});
    std::vector<Executor*> shards(host_->loops().loops().begin(), host_->loops().loops().end());
    take_in_ = std::make_unique<BrokerTakeIn>(
        BrokerTakeInPorts{
            .on = host_->loops()[0],
            .shards = std::move(shards),
            .consume = [this](BrokerConsumerOptions options) { return broker_->consumer(std::move(options)); },
            // Its end waits for its thread, which is nothing for a shard.
            .dispose =
                [this](std::unique_ptr<BrokerConsumer> consumer) {
                    host_->main_loop().post([gone = std::move(consumer)] {});
                },
            .publisher = *publisher_,
            .handover = *gate_,
            .was_taken = [this](MessageId taken_as,
                                Completion<Result<bool>> done) { spool_->was_taken(taken_as, std::move(done)); },
            .backlog = [this] { return sender_->backlog(); },
            .queued_for = [this](std::string_view domain,
                                 std::string_view virtual_mta) { return sender_->queued_for(domain, virtual_mta); },
            .metrics = host_->metrics(),
            .log = host_->log()},
        options_.name, member_->configuration()->take_in);
    take_in_->start();
    say_if_nothing_is_its_own(*member_->configuration());
    return {};
}

// A slip in one of the two names would leave mail in a queue that nobody reads.
void SenderProcess::say_if_nothing_is_its_own(const config::Config& config) {
    const auto is_own = [this](const auto& mta) { return mta.second.sender == options_.name; };
    if (std::any_of(config.virtual_mtas.begin(), config.virtual_mtas.end(), is_own)) return;
    host_->log()
        .line(LogLevel::Warning, "no-virtual-mtas")
        .field("sender", options_.name)
        .field("reason",
               "no virtual MTA of the configuration has `sender: " + options_.name + "`, so it gets no new mail");
}

void SenderProcess::start_carrier() {
    reporting::CarrierOptions options;
    options.source.uri = "/senders/" + options_.name;
    options.gather_interval = options.flush_interval = std::chrono::milliseconds(20);
    carrier_ = std::make_unique<reporting::EventCarrier>(*spool_, std::move(options), host_->metrics(), host_->log());
    carrier_->start(event_queues(*member_->configuration()));
}

std::vector<reporting::SinkSetup> SenderProcess::event_queues(const config::Config& config) {
    return event_queues::event_queue_sinks(
        config,
        {.make_publisher = [this](const std::string& sink) { return broker_->publisher({.name = "events " + sink}); },
         .source = "/senders/" + options_.name,
         .log = host_->log()});
}

void SenderProcess::on_tick() {
    if (host_->is_stopping()) return;  // who waits for the end waits in the same loop, also when the parts are gone
    member_->apply_new([this](const ConfigPointer& next) { return apply(next); });
}

// Everything that can fail comes first; what cannot fail follows.
Status SenderProcess::apply(const ConfigPointer& next) {
    if (Status bound = check_source_addresses(*next, options_.name); !bound) return bound;
    auto configuration = parts_->load(next, options_.name);
    if (!configuration) return configuration.error();
    parts_->load_tls_contexts(*next);
    sender_->reload(*std::move(configuration));
    take_in_->reload(next->take_in);
    say_if_nothing_is_its_own(*next);
    broker_->declare(topology_of(*next));
    const std::lock_guard lock(operations_);
    carrier_->reconfigure(event_queues(*next));
    current_ = next;
    current_since_ = wall_clock_now();
    return {};
}

// --- running -------------------------------------------------------------------------------------------

void SenderProcess::add_readiness_checks() {
    host_->add_readiness_check("spool", [this]() -> std::string {
        const SpoolState state = spool_->state();
        return state.condition == SpoolCondition::Ready ? "" : state.reason;
    });
    host_->add_readiness_check("name", [this] { return name_->obstacle(); });
    host_->add_readiness_check("broker", [this] {
        const std::string obstacle = publisher_->obstacle();
        return obstacle.empty() ? take_in_->obstacle() : obstacle;
    });
}

int SenderProcess::run() {
    host_->run({.on_reload = [this] { on_tick(); }, .on_tick = [this] { on_tick(); }});
    const Duration grace = member_->configuration()->shutdown_grace;
    host_->log()
        .line(LogLevel::Info, "stopping")
        .field("because", lost_.empty() ? host_->main_loop().stop_reason() : lost_)
        .field("grace", format_duration(grace));
    const SteadyTime begun = steady_clock_now();
    Drained drained = host_->await_drain(begun + grace / kTakeInShare,
                                         [&](Completion<Status> done) { take_in_->stop(std::move(done)); });
    if (drained != Drained::Hurried) {
        drained = host_->await_drain(begun + grace,
                                     [&](Completion<Status> done) { sender_->drain(begun + grace, std::move(done)); });
    }
    if (drained == Drained::Hurried) host_->leave_at_once();
    stop_all();
    host_->log()
        .line(LogLevel::Info, "stopped")
        .field("drained", drained == Drained::Quiet ? "yes" : "no, the grace was over");
    host_->log_sink().flush();
    return lost_.empty() ? 0 : 1;
}

// Also after a start that failed half-way: whatever is there is stopped, callers before those they call.
void SenderProcess::stop_all() {
    if (!host_) return;
    if (door_) door_->stop();
    host_->stop_admin();
    if (name_) {
        std::promise<void> stopped;
        (*name_loop_)[0].post([this, &stopped] {
            name_->stop();
            stopped.set_value();
        });
        stopped.get_future().wait();  // from here on nobody lets the sender send
    }
    host_->stop_shards();
    door_.reset();
    take_in_.reset();
    gate_.reset();
    suppressions_.reset();
    if (carrier_) carrier_->stop();
    carrier_.reset();
    publisher_.reset();
    // Consumers that were handed to this thread end before their broker.
    host_->main_loop().await(steady_clock_now() + std::chrono::milliseconds(1), [] { return false; });
    broker_.reset();
    if (parts_) parts_->stop_workers();
    sender_.reset();
    member_.reset();
    if (name_loop_) {
        name_loop_->stop();
        name_loop_->join();
    }
    name_.reset();
    parts_.reset();
    if (spool_) spool_->stop();
    spool_.reset();
}

}  // namespace postfleet::sender
