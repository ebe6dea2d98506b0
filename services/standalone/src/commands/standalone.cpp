#include <CLI/CLI.hpp>

#include "../cli/context.hpp"
#include "../process/server.hpp"
#include "postfleet/standalone/command_line.hpp"

namespace postfleet::standalone {
namespace {

int run_server(const std::string& config_path) {
    Result<std::unique_ptr<Server>> server = Server::start(config_path);
    if (!server) {
        report_failure(server.error());
        return 1;
    }
    print((*server)->banner());
    return (*server)->run();
}

}  // namespace

void register_standalone_command(CLI::App& app, int& exit_code) {
    // shared_ptr because CLI11 keeps the callback as long as the App.
    auto config_path = std::make_shared<std::string>(kDefaultConfig);
    CLI::App* command = app.add_subcommand("standalone", "Run the whole server as one process");
    command->add_option("--config", *config_path, "Configuration directory, or one file (/etc/postfleet)")
        ->envname("POSTFLEET_CONFIG")
        ->type_name("DIR");
    command->group("Run")->callback([&exit_code, config_path] { exit_code = run_server(*config_path); });
}

}  // namespace postfleet::standalone
