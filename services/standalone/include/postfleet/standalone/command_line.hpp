// run_command_line: the whole of `postfleet`, as main() calls it. Returns the exit code.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace postfleet::standalone {

// Adds commands of other libraries (the test tools).
using RegisterMore = std::function<void(CLI::App& app, int& exit_code)>;

int run_command_line(int argc, char** argv, const RegisterMore& register_more);

}  // namespace postfleet::standalone
