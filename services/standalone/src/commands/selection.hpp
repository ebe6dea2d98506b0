// The options that say which mail a command is about, the same for all of them (libs/control, selectors.hpp).
#pragma once

#include <string>

#include "../cli/context.hpp"

namespace postfleet::standalone {

struct Selection {
    runtime::ControlArguments arguments;  // CLI11 fills them one by one
    bool everything = false;
    // Those that were given, for the control protocol.
    runtime::ControlArguments given() const;
};

// Queues only have a site and a virtual MTA.
enum class Reach { Queues, Mail };

// `all`: what --all means; null: it is not offered. The selection must live as long as the command.
void add_selection(CLI::App& command, Selection& selection, Reach reach, const char* all);

}  // namespace postfleet::standalone
