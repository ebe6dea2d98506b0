// load_path: configuration files → Config, as every command and the reload do it.
//
// YAML files through adapters/yaml, environment variables and host name of this process, files that the
// configuration names checked for being readable. Threads: thread-safe as long as nobody changes the
// environment; blocks on files, and on the resolver's configuration for the host name.
#pragma once

#include <string>

#include "postfleet/config/load.hpp"
#include "postfleet/ports/configurations.hpp"

namespace postfleet::config_files {

// A directory, or one file.
config::LoadResult load_path(const std::string& path);

// Text instead of files (tests, generated configurations). Relative paths are relative to `directory`.
config::LoadResult load_text(const std::string& text, const std::string& file_name = "postfleet.yaml",
                             const std::string& directory = ".");

// --- a configuration that goes to other machines (ports/configurations.hpp)

// The files of a directory, or one file, as they are. `directory` itself does not go along.
Result<ConfigurationFiles> read_files(const std::string& path);
// The same for the same names and octets, and for no others.
std::string version_of(const ConfigurationFiles& files);
// As load_path, but the files that a configuration names are not looked at: they belong to the machines that use them.
// Relative paths are relative to `directory`, environment variables are this process's.
config::LoadResult load_files(const ConfigurationFiles& files, const std::string& directory);

// One problem per line.
std::string to_string(const std::vector<config::Problem>& problems);

// The machine's name, fully qualified where it knows it.
std::string machine_name();

}  // namespace postfleet::config_files
