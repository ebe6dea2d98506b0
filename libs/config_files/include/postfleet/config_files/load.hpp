// load_path: configuration files → Config, as every command and the reload do it.
//
// YAML files through adapters/yaml, environment variables and host name of this process, files that the
// configuration names checked for being readable. Threads: thread-safe as long as nobody changes the
// environment; blocks on files, and on the resolver's configuration for the host name.
#pragma once

#include <string>

#include "postfleet/config/load.hpp"

namespace postfleet::config_files {

// A directory, or one file.
config::LoadResult load_path(const std::string& path);

// Text instead of files (tests, generated configurations). Relative paths are relative to `directory`.
config::LoadResult load_text(const std::string& text, const std::string& file_name = "postfleet.yaml",
                             const std::string& directory = ".");

// One problem per line.
std::string to_string(const std::vector<config::Problem>& problems);

// The machine's name, fully qualified where it knows it.
std::string machine_name();

}  // namespace postfleet::config_files
