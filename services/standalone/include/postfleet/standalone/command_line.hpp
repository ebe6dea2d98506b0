// run_command_line: the whole of `postfleet`, as main() calls it. Returns the exit code.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace postfleet::standalone {

// Adds commands that live elsewhere; they set the exit code when they have run.
using RegisterCommands = std::function<void(CLI::App& app, int& exit_code)>;

struct MoreCommands {
    RegisterCommands first, last;  // where they stand in --help
};

int run_command_line(int argc, char** argv, const MoreCommands& more);

// `postfleet standalone` (in the library that has the server).
void register_standalone_command(CLI::App& app, int& exit_code);
// `postfleet spool drain` (likewise).
void register_spool_command(CLI::App& app, int& exit_code);
// `postfleet rejected list`, `postfleet rejected return` (likewise).
void register_rejected_command(CLI::App& app, int& exit_code);

}  // namespace postfleet::standalone
