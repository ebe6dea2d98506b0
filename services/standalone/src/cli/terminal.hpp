// What the command line knows of the terminal it runs on.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "postfleet/standalone/table.hpp"

namespace postfleet::standalone {

// Of standard output: width and colour on a terminal, neither elsewhere. NO_COLOR (no-color.org) is honoured.
Style output_style();
unsigned terminal_height();

// Single keys without echo while it lives, and the alternate screen, so that the shell's text comes back.
class FullScreen final {
public:
    FullScreen();
    ~FullScreen();
    FullScreen(const FullScreen&) = delete;
    FullScreen& operator=(const FullScreen&) = delete;
    // A key; 'q' for SIGINT, SIGTERM or the end of input; nothing when the size has changed or time is over.
    std::optional<char> wait_for_key(int milliseconds);
    void show(const std::string& frame);

private:
    struct Saved;
    std::unique_ptr<Saved> saved_;
};

}  // namespace postfleet::standalone
