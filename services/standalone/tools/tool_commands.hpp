// The test tools as sub-commands of `postfleet`. The exit code is set when the command has run.
#pragma once

namespace CLI {
class App;
}

namespace postfleet::tools {

void register_sink_command(CLI::App& app, int& exit_code);
void register_load_command(CLI::App& app, int& exit_code);

}  // namespace postfleet::tools
