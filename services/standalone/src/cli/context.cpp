#include "context.hpp"

#include <cstdio>
#include <filesystem>

#include "postfleet/config_files/load.hpp"

namespace postfleet::standalone {

void Context::fail(const Error& error) {
    exit_code = 1;
    std::fprintf(stderr, "postfleet: %s\n", error.text.c_str());
}

Result<std::string> Context::call(const std::string& command, const runtime::ControlArguments& arguments,
                                  Duration timeout) const {
    const Result<std::string> path = find_socket();
    if (!path) return path.error();
    return runtime::call_control(*path, command, arguments, timeout);
}

Result<std::string> Context::find_socket() const {
    if (!socket.empty()) return socket;
    std::error_code ignored;
    if (config.empty() && !std::filesystem::exists(kDefaultConfig, ignored)) return std::string(kDefaultSocket);
    const std::string directory = config.empty() ? kDefaultConfig : config;
    const config::LoadResult loaded = config_files::load_path(directory);
    if (loaded.config) return loaded.config->control_socket;
    return Error{ErrorKind::InvalidArgument,
                 "the configuration in " + directory + " does not say where the running process is: " +
                     (loaded.problems.empty() ? "it is not valid" : loaded.problems.front().to_string()) +
                     "; name its socket with --socket PATH"};
}

void add_connection_options(CLI::App& command, Context& context) {
    command.add_option("--config", context.config, "Configuration directory of the running process")
        ->envname("POSTFLEET_CONFIG")
        ->type_name("DIR");
    command.add_option("--socket", context.socket, "Control socket of the running process")
        ->envname("POSTFLEET_SOCKET")
        ->type_name("PATH");
    command.add_flag("--json", context.json, "Write JSON for programs instead of text for people");
}

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

}  // namespace postfleet::standalone
