#include "ingest.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "postfleet/base/text.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::ingest {

using cluster_member::ConfigPointer;
using service_host::Drained;

namespace {

// Shorter than what a client at the door waits (HandoverDesk::kPatience): what was not confirmed is published once more
// within its time.
constexpr Duration kConfirmTimeout = std::chrono::seconds(10);
constexpr std::uint64_t kBufferIndexMemory = 16u << 20;
constexpr int kPickupShare = 2;  // of the grace period, for what listeners have left of it

// The queues of every sender that the configuration names: mail for a sender that was never started waits there.
wire::BrokerTopology topology_of(const config::Config& config) {
    std::set<std::string> senders;
    for (const auto& [name, mta] : config.virtual_mtas) senders.insert(mta.sender);
    wire::BrokerTopology topology;
    for (const std::string& sender : senders) topology += wire::deliver_topology(sender);
    return topology;
}

IngestConfiguration compiled(const ConfigPointer& config) { return {config, routing::Snapshot::compile(*config)}; }

}  // namespace

Result<std::unique_ptr<Ingest>> Ingest::start(cluster_member::MemberOptions options) {
    std::unique_ptr<Ingest> ingest(new Ingest(std::move(options)));
    if (Status started = ingest->start_all(); !started) return started.error();
    return ingest;
}

Ingest::~Ingest() {
    if (host_) host_->stop_admin();
    if (pickups_) pickups_->stop();
    if (submissions_) submissions_->stop();
    if (grpc_) grpc_->stop();
    publisher_.reset();  // answers what is under way, while the shards still run
    buffer_publisher_.reset();
    if (host_) host_->stop_shards();
    listeners_.reset();
    pickups_.reset();
    buffer_.reset();
    if (buffer_spool_) buffer_spool_->stop();
    buffer_spool_.reset();
    member_.reset();       // answers what was asked of its link
    submissions_.reset();  // who asked
    grpc_.reset();
}

Status Ingest::start_all() {
    // Signals are blocked before the first thread starts, so that only the main thread sees them.
    auto host = service_host::ServiceHost::create();
    if (!host) return host.error();
    host_ = *std::move(host);
    if (Status opened = host_->open_log({.path = options_.log, .level = options_.log_level}); !opened) return opened;
    auto member = cluster_member::Membership::join(options_, *host_, "ingest", false);
    if (!member) return member.error();
    member_ = *std::move(member);
    for (const auto step : {&Ingest::open_broker, &Ingest::open_admin}) {
        if (Status done = (this->*step)(); !done) return done;
    }
    if (Status opened = open_buffer(*member_->configuration()); !opened) return opened;
    if (Status opened = open_doors(); !opened) return opened;
    host_->start_shards();
    pickups_->start();
    submissions_->start();
    grpc_->start();
    host_->report_running();
    host_->log()
        .line(LogLevel::Info, "started")
        .field("version", runtime::build_info().version)
        .field("shards", host_->loops().size())
        .field("broker", options_.broker.url.to_string())
        .field("epoch", member_->epoch());
    return {};
}

Status Ingest::open_broker() {
    const auto& config = *member_->configuration();
    broker_ = std::make_unique<amqp::Broker>(amqp::BrokerOptions{.access = options_.broker,
                                                                 .topology = topology_of(config),
                                                                 .name = "postfleet-ingest " + options_.name,
                                                                 .log = host_->log(),
                                                                 .metrics = &host_->metrics(),
                                                                 .confirm_timeout = kConfirmTimeout});
    publisher_ = broker_->publisher({.name = "deliver"});
    {
        const std::lock_guard lock(senders_mutex_);
        for (const auto& [name, mta] : config.virtual_mtas) senders_[name] = mta.sender;
    }
    handover_ = std::make_unique<ingest_cluster::BrokerHandover>(
        *publisher_,
        ingest_cluster::BrokerHandoverOptions{
            .most_octets = config.limits.memory_for_incoming,
            .sender_of = [this](const std::string& virtual_mta) { return sender_of(virtual_mta); }},
        host_->metrics());
    front_ = std::make_unique<ingest_cluster::BufferedHandover>(*handover_);
    return {};
}

// Opened when it is wanted, or when it has been and mail may be in it.
Status Ingest::open_buffer(const config::Config& config) {
    const std::string directory = options_.data_dir + "/buffer";
    if (buffer_ || (config.local_buffer.max_size == 0 && !std::filesystem::exists(directory))) return {};
    if (!buffer_spool_) {
        auto opened = spool::RocksSpool::open({.directory = directory,
                                               .min_free = config.spool.min_free,
                                               .max_in_flight = config.spool.max_in_flight,
                                               .index_memory = kBufferIndexMemory,
                                               .index_cache = kBufferIndexMemory,
                                               .reader_threads = 1,
                                               .taken_window = config.spool.remember_taken,
                                               .log = host_->log()});
        if (!opened) return Error{opened.error().kind, "local_buffer: " + opened.error().text};
        buffer_spool_ = *std::move(opened);
        buffer_spool_->register_metrics(host_->metrics());
        buffer_publisher_ = broker_->publisher({.name = "buffer"});
    }
    auto buffer = std::make_unique<ingest_cluster::LocalBuffer>(
        ingest_cluster::LocalBufferPorts{
            .on = host_->loops()[0],
            .spool = *buffer_spool_,
            .publisher = *buffer_publisher_,
            .sender_of = [this](const std::string& virtual_mta) { return owner_of_kept(virtual_mta); },
            .metrics = host_->metrics(),
            .log = host_->log()},
        config.local_buffer.max_size);
    if (Status started = buffer->start(); !started) return started;
    buffer_ = std::move(buffer);
    front_->use(*buffer_);
    return {};
}

std::string Ingest::sender_of(const std::string& virtual_mta) const {
    const std::lock_guard lock(senders_mutex_);
    const auto found = senders_.find(virtual_mta);
    return found == senders_.end() ? std::string() : found->second;
}

// Mail outlives virtual MTAs: some sender has to have it, and chooses another one.
std::string Ingest::owner_of_kept(const std::string& virtual_mta) const {
    const std::lock_guard lock(senders_mutex_);
    const auto found = senders_.find(virtual_mta);
    return found != senders_.end() ? found->second : senders_.begin()->second;
}

// With room in the local buffer mail is taken, whatever the broker does.
std::string Ingest::why_no_mail_goes() const {
    std::string obstacle = publisher_->obstacle();
    if (obstacle.empty()) return obstacle;
    const Admission local = front_->local_admission();
    if (local.open) return {};
    return local.reason.empty() ? obstacle : obstacle + "; " + local.reason;
}

Status Ingest::open_admin() {
    if (Status made = host_->make_shards(member_->configuration()->shards); !made) return made;
    host_->add_readiness_check("broker", [this] { return why_no_mail_goes(); });
    host_->add_readiness_check("submission queues", [this] { return submissions_->obstacle(); });
    if (Status opened = host_->open_admin(options_.http); !opened) {
        return Error{opened.error().kind, "--http " + options_.http.to_string() + ": " + opened.error().text};
    }
    return {};
}

Status Ingest::open_doors() {
    const ConfigPointer& config = member_->configuration();
    auto our_mail = maildir::MaildirIntake::open(
        {.directory = options_.data_dir + "/intake", .max_octets = config->intake.max_size}, host_->metrics(),
        host_->log());
    if (!our_mail) return our_mail.error();
    our_mail_ = *std::move(our_mail);
    listeners_ = std::make_unique<SmtpListenerService>(IngestDependencies{.loops = host_->loops().loops(),
                                                                          .handover = *front_,
                                                                          .metrics = host_->metrics(),
                                                                          .log = host_->log(),
                                                                          .feedback_intake = our_mail_.get()});
    if (Status started = listeners_->start(compiled(config)); !started) return started;
    pickups_ = std::make_unique<PickupService>(
        PickupDependencies{.handover = *handover_, .metrics = host_->metrics(), .log = host_->log()});
    if (Status opened = pickups_->open(compiled(config)); !opened) return opened;
    submissions_ =
        std::make_unique<SubmissionService>(SubmissionDependencies{.handover = *handover_,
                                                                   .keys = &member_->link().keys(),
                                                                   .metrics = host_->metrics(),
                                                                   .log = host_->log(),
                                                                   .directory = options_.data_dir + "/submissions"});
    if (Status opened = submissions_->open(compiled(config)); !opened) return opened;
    grpc_ = std::make_unique<GrpcListenerService>(GrpcDependencies{.handover = *front_,
                                                                   .keys = &member_->link().keys(),
                                                                   .logins = listeners_->logins(),
                                                                   .metrics = host_->metrics(),
                                                                   .log = host_->log()});
    return grpc_->open(compiled(config));
}

void Ingest::on_tick() {
    member_->apply_new([this](const ConfigPointer& next) { return apply(next); });
}

// New mail may be bound to new virtual MTAs from the first reload on; so their queues and senders come first.
Status Ingest::apply(const ConfigPointer& next) {
    if (Status opened = open_buffer(*next); !opened) return opened;
    broker_->declare(topology_of(*next));
    {
        const std::lock_guard lock(senders_mutex_);
        for (const auto& [name, mta] : next->virtual_mtas) senders_[name] = mta.sender;
    }
    if (Status listening = listeners_->reload(compiled(next)); !listening) return listening;
    if (Status taking = pickups_->reload(compiled(next)); !taking) return taking;
    if (Status taking = submissions_->reload(compiled(next)); !taking) return taking;
    if (Status listening = grpc_->reload(compiled(next)); !listening) return listening;
    our_mail_->set_max_octets(next->intake.max_size);
    if (buffer_) buffer_->set_most_octets(next->local_buffer.max_size);
    return {};
}

int Ingest::run() {
    host_->run({.on_reload = [this] { on_tick(); }, .on_tick = [this] { on_tick(); }});
    host_->log()
        .line(LogLevel::Info, "stopping")
        .field("because", host_->main_loop().stop_reason())
        .field("grace", format_duration(member_->configuration()->shutdown_grace));
    const Drained drained = drain();
    if (drained == Drained::Hurried) host_->leave_at_once();
    host_->log()
        .line(LogLevel::Info, "stopped")
        .field("drained", drained == Drained::Quiet ? "yes" : "no, the grace was over");
    host_->log_sink().flush();
    return 0;
}

Drained Ingest::drain() {
    const SteadyTime start = steady_clock_now();
    const Duration grace = member_->configuration()->shutdown_grace;
    const SteadyTime doors_closed = start + grace / kPickupShare;
    const Drained listeners = host_->await_drain(
        doors_closed, [&](Completion<Status> done) { listeners_->drain(doors_closed, std::move(done)); });
    if (listeners == Drained::Hurried) return listeners;
    const Drained submissions =
        host_->await_drain(start + grace, [&](Completion<Status> done) { submissions_->drain(std::move(done)); });
    if (submissions == Drained::Hurried) return submissions;
    const Drained calls =
        host_->await_drain(start + grace, [&](Completion<Status> done) { grpc_->drain(std::move(done)); });
    if (calls == Drained::Hurried) return calls;
    const Drained pickups =
        host_->await_drain(start + grace, [&](Completion<Status> done) { pickups_->drain(std::move(done)); });
    if (pickups == Drained::Hurried || !buffer_) return pickups;
    return host_->await_drain(start + grace, [&](Completion<Status> done) { buffer_->stop(std::move(done)); });
}

std::string Ingest::banner() const {
    std::string text = fmt::format("Postfleet ingest {} is ready, with epoch {} of the configuration.\n\n",
                                   runtime::build_info().version, member_->epoch());
    for (const ListenerStatus& listener : listeners_->listeners()) {
        text += fmt::format("  smtp     {:<24} {}\n", listener.address.to_string(), listener.name);
    }
    for (const auto& listener : grpc_->listeners()) {
        text += fmt::format("  grpc     {:<24} {}\n", listener.address.to_string(), listener.name);
    }
    for (const auto& [name, pickup] : member_->configuration()->pickups) {
        text += fmt::format("  pickup   {:<24} {}\n", pickup.directory, name);
    }
    for (const auto& [name, queue] : member_->configuration()->submission_queues) {
        text += fmt::format("  queue    {:<24} {}, {}\n", queue.broker.url.to_string(), name, queue.queue);
    }
    if (buffer_ && buffer_->is_on()) {
        text += fmt::format("  buffer   {:<24} {}\n", options_.data_dir + "/buffer",
                            format_size(member_->configuration()->local_buffer.max_size));
    }
    return text + fmt::format("  broker   {}\n  http     {:<24} /metrics, /healthz/live, /healthz/ready\n",
                              options_.broker.url.to_string(), host_->http()->local().to_string());
}

}  // namespace postfleet::ingest
