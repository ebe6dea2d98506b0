#include "postfleet/standalone/command_line.hpp"
#include "tools/tool_commands.hpp"

int main(int argc, char** argv) {
    return postfleet::standalone::run_command_line(
        argc, argv,
        {.first =
             [](CLI::App& app, int& exit_code) {
                 postfleet::standalone::register_standalone_command(app, exit_code);
                 postfleet::standalone::register_spool_command(app, exit_code);
                 postfleet::standalone::register_rejected_command(app, exit_code);
             },
         .last =
             [](CLI::App& app, int& exit_code) {
                 postfleet::tools::register_sink_command(app, exit_code);
                 postfleet::tools::register_load_command(app, exit_code);
             }});
}
