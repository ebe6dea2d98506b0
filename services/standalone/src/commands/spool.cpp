#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "../cli/broker_options.hpp"
#include "../cli/context.hpp"
#include "postfleet/amqp/broker.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/event_queues/event_queue_sinks.hpp"
#include "postfleet/event_queues/outbox_publishing.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/sender_edge/evacuation.hpp"
#include "postfleet/spool/rocks_spool.hpp"
#include "postfleet/standalone/command_line.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::standalone {
namespace {

using event_queues::OutboxPublishing;

struct DrainOptions {
    BrokerOptions broker;
    std::string directory, sender, from;
    std::vector<std::string> reports;
};

struct Drained {
    sender::EvacuationReport mail;
    std::map<std::string, std::uint64_t> events;  // that are left, by report; empty: none
};

constexpr auto kTellEvery = std::chrono::seconds(2);

std::string list_of(const std::map<std::string, std::uint64_t>& reports) {
    std::string text;
    for (const auto& [name, events] : reports) {
        text += fmt::format("{}{} ({} events)", text.empty() ? "" : ", ", name, events);
    }
    return text;
}

// A name that is not right would make a queue that nobody reads.
Status check_reports(const DrainOptions& options, const std::map<std::string, std::uint64_t>& known) {
    for (const std::string& name : options.reports) {
        if (known.empty() || known.contains(name)) continue;
        return Error{ErrorKind::InvalidArgument,
                     "--reports: this spool has no events for a report '" + name + "'; it has " + list_of(known)};
    }
    return {};
}

// What is missing is an answer, not a crash: the directory may be on a disk that was moved here.
Status check_directory(const DrainOptions& options) {
    if (std::filesystem::exists(options.directory + "/postfleet-spool")) return {};
    return Error{ErrorKind::NotFound, options.directory +
                                          " is no spool; give the directory that has the file "
                                          "'postfleet-spool' (DATA-DIR/spool)"};
}

// The loop outlives the spool and the broker, whose threads post to it.
Result<sender::EvacuationReport> drain_mail(const DrainOptions& options, net::LoopGroup& loops,
                                            spool::RocksSpool& spool, amqp::Broker& broker) {
    const auto publisher = broker.publisher({.name = "drain"});
    sender::Evacuation evacuation({.on = loops[0],
                                   .spool = spool,
                                   .spool_id = spool.spool_id(),
                                   .publisher = *publisher,
                                   .sender_of = [&](const std::string&) { return options.sender; },
                                   .log = Log()});
    std::promise<Result<sender::EvacuationReport>> result;
    auto answer = result.get_future();
    Status started = evacuation.start({&loops[0], [&](auto report) { result.set_value(std::move(report)); }});
    if (!started) return started.error();
    loops.start();
    std::string told;
    while (answer.wait_for(kTellEvery) != std::future_status::ready) {
        const std::string obstacle = publisher->obstacle();
        if (!obstacle.empty() && std::exchange(told, obstacle) != obstacle) {
            fmt::print(stderr, "waiting for the broker: {}\n", obstacle);
        }
    }
    auto report = answer.get();
    loops.stop();
    loops.join();
    return report;
}

void await_events(const OutboxPublishing& events) {
    SteadyTime tell_at = steady_clock_now() + kTellEvery;
    for (auto state = events.state(); state.left > 0; state = events.state()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        if (steady_clock_now() < tell_at) continue;
        tell_at = steady_clock_now() + kTellEvery;
        fmt::print(stderr, "{} events to publish{}\n", state.left,
                   state.obstacle.empty() ? "" : "; waiting: " + state.obstacle);
    }
}

Result<Drained> drain(const DrainOptions& options) {
    auto access = access_of(options.broker);
    if (!access) return access.error();
    if (Status there = check_directory(options); !there) return there.error();
    auto loops = net::LoopGroup::create(1);
    if (!loops) return loops.error();
    // The lock is the spool's: a process that still delivers from it keeps us out.
    auto spool = spool::RocksSpool::open({.directory = options.directory, .min_free = 0});
    if (!spool) return spool.error();
    if (Status known = check_reports(options, (*spool)->unread()); !known) return known.error();
    wire::BrokerTopology topology = wire::deliver_topology(options.sender);
    topology += wire::events_topology(options.reports);
    amqp::Broker broker(
        {.access = *std::move(access), .topology = std::move(topology), .name = "postfleet spool drain"});
    const event_queues::EventQueueOptions queues{
        .make_publisher = [&](const std::string& sink) { return broker.publisher({.name = "events " + sink}); },
        .source = options.from.empty() ? "/spools/" + (*spool)->spool_id() : "/senders/" + options.from};
    std::vector<reporting::SinkSetup> sinks;
    for (const std::string& name : options.reports) sinks.push_back(event_queues::event_queue_sink(name, queues));
    Metrics metrics;
    auto events = OutboxPublishing::start(**spool, std::move(sinks), OutboxPublishing::Others::Kept, metrics, Log());
    if (!events) return events.error();
    auto mail = drain_mail(options, **loops, **spool, broker);
    if (!mail) return mail.error();
    await_events(**events);
    (*events)->stop();
    Drained drained{.mail = *std::move(mail)};
    // A spool that knows no reports had none: its events are for nobody.
    drained.events = (*spool)->unread();
    std::erase_if(drained.events, [](const auto& report) { return report.second == 0; });
    return drained;
}

int run_drain(const DrainOptions& options) {
    const auto drained = drain(options);
    if (!drained) {
        report_failure(drained.error());
        return 1;
    }
    const sender::EvacuationReport& mail = drained->mail;
    print(fmt::format("{} messages with {} recipients are on their way to {}.\n", mail.messages, mail.recipients,
                      options.sender));
    if (!options.reports.empty()) {
        print(fmt::format("The events for {} were published.\n", fmt::join(options.reports, ", ")));
    }
    if (mail.left > 0) {
        print(fmt::format("{} messages are left; the last one because: {}. Run it again.\n", mail.left, mail.why_left));
    }
    if (!drained->events.empty()) {
        print(fmt::format("Events wait for {}. Run it again with --reports and these names to publish them.\n",
                          list_of(drained->events)));
    }
    if (mail.left > 0 || !drained->events.empty()) return 1;
    print("The spool has neither mail nor events any more.\n");
    return 0;
}

}  // namespace

void register_spool_command(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<DrainOptions>();  // CLI11 keeps the callback as long as the App
    CLI::App* group = app.add_subcommand("spool", "A spool that no process uses")->require_subcommand(1);
    group->group("Run");
    CLI::App* command = group->add_subcommand(
        "drain",
        "Hand the mail of an orphaned spool over to a sender, with attempts, due times and last replies, and "
        "publish its events");
    command->add_option("directory", options->directory, "The spool: DATA-DIR/spool")->required()->type_name("DIR");
    command->add_option("--to", options->sender, "The sender that gets it")->required()->type_name("NAME");
    add_broker_options(*command, options->broker);
    command
        ->add_option("--reports", options->reports,
                     "Publish the events that wait for these reports, as the configuration names them; feedback must "
                     "serve them")
        ->delimiter(',')
        ->type_name("NAME,…");
    command->add_option("--from", options->from, "The sender whose spool it was, as its events name it")
        ->type_name("NAME");
    command->footer(
        "Nobody may deliver from the spool meanwhile: it is locked, and a spool that is half empty refuses to be "
        "delivered from.\nIt may be interrupted and run again; nothing is sent twice. Keep the disk until it says that "
        "the spool has "
        "neither mail nor events any more.");
    command->callback([&exit_code, options] { exit_code = run_drain(*options); });
}

}  // namespace postfleet::standalone
