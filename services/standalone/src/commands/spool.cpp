#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <future>
#include <memory>
#include <utility>

#include "../cli/context.hpp"
#include "postfleet/amqp/broker.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/sender_edge/evacuation.hpp"
#include "postfleet/spool/rocks_spool.hpp"
#include "postfleet/standalone/command_line.hpp"
#include "postfleet/wire/broker_topology.hpp"

namespace postfleet::standalone {
namespace {

struct DrainOptions {
    std::string directory, broker = "amqp://guest:guest@127.0.0.1:5672/", broker_ca, sender;
};

// What is missing is an answer, not a crash: the directory may be on a disk that was moved here.
Result<sender::EvacuationReport> drain(const DrainOptions& options) {
    const auto url = BrokerUrl::parse(options.broker);
    if (!url) return Error{ErrorKind::InvalidArgument, "--broker: " + url.error().text};
    if (!std::filesystem::exists(options.directory + "/postfleet-spool")) {
        return Error{ErrorKind::NotFound, options.directory +
                                              " is no spool; give the directory that has the file "
                                              "'postfleet-spool' (DATA-DIR/spool)"};
    }
    // The lock is the spool's: a process that still delivers from it keeps us out.
    auto spool = spool::RocksSpool::open({.directory = options.directory, .min_free = 0});
    if (!spool) return spool.error();
    auto loop = net::LoopGroup::create(1);
    if (!loop) return loop.error();
    amqp::Broker broker({.access = {.url = *url, .ca_file = options.broker_ca},
                         .topology = wire::deliver_topology(options.sender),
                         .name = "postfleet spool drain"});
    const auto publisher = broker.publisher({.name = "drain"});
    sender::Evacuation evacuation({.on = (**loop)[0],
                                   .spool = **spool,
                                   .spool_id = (*spool)->spool_id(),
                                   .publisher = *publisher,
                                   .sender_of = [&](const std::string&) { return options.sender; },
                                   .log = Log()});
    std::promise<Result<sender::EvacuationReport>> result;
    auto answer = result.get_future();
    Status started = evacuation.start({&(**loop)[0], [&](auto report) { result.set_value(std::move(report)); }});
    if (!started) return started.error();
    (*loop)->start();
    std::string told;
    while (answer.wait_for(std::chrono::seconds(2)) != std::future_status::ready) {
        const std::string obstacle = publisher->obstacle();
        if (!obstacle.empty() && std::exchange(told, obstacle) != obstacle) {
            fmt::print(stderr, "waiting for the broker: {}\n", obstacle);
        }
    }
    auto report = answer.get();
    (*loop)->stop();
    (*loop)->join();
    return report;
}

int run_drain(const DrainOptions& options) {
    const auto report = drain(options);
    if (!report) {
        report_failure(report.error());
        return 1;
    }
    print(fmt::format("{} messages with {} recipients are on their way to {}.\n", report->messages, report->recipients,
                      options.sender));
    if (report->left == 0) {
        print("The spool has no mail any more.\n");
        return 0;
    }
    print(
        fmt::format("{} messages are left; the last one because: {}. Run it again.\n", report->left, report->why_left));
    return 1;
}

}  // namespace

void register_spool_command(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<DrainOptions>();  // CLI11 keeps the callback as long as the App
    CLI::App* group = app.add_subcommand("spool", "A spool that no process uses")->require_subcommand(1);
    group->group("Run");
    CLI::App* command = group->add_subcommand(
        "drain", "Hand the mail of an orphaned spool over to a sender, with attempts, due times and last replies");
    command->add_option("directory", options->directory, "The spool: DATA-DIR/spool")->required()->type_name("DIR");
    command->add_option("--to", options->sender, "The sender that gets it")->required()->type_name("NAME");
    command->add_option("--broker", options->broker, "RabbitMQ of the cluster")
        ->envname("POSTFLEET_BROKER")
        ->type_name("URL")
        ->capture_default_str();
    command->add_option("--broker-ca", options->broker_ca, "CA of the broker's certificate; without it: the system's")
        ->envname("POSTFLEET_BROKER_CA")
        ->type_name("FILE");
    command->footer(
        "Nobody may deliver from the spool meanwhile: it is locked, and a spool that is half empty refuses to be "
        "delivered from.\nIt may be interrupted and run again; nothing is sent twice.");
    command->callback([&exit_code, options] { exit_code = run_drain(*options); });
}

}  // namespace postfleet::standalone
