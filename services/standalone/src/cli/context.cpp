#include "context.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>

#include "postfleet/base/text.hpp"
#include "postfleet/config_files/load.hpp"
#include "merge_answers.hpp"
#include "postfleet/yaml/documents.hpp"

namespace postfleet::standalone {
namespace {

// What a configuration that is not valid still says of where its process is: `postfleet reload` must reach the
// process to be told what is wrong.
std::optional<std::string> guess_socket(const std::string& path) {
    std::optional<std::string> socket, data_dir;
    for (const Node& document : yaml::read_documents(path).documents) {
        for (const Node::Member& member : document.members) {
            if (member.name == "control_socket") socket = member.value.scalar;
            if (member.name == "data_dir") data_dir = member.value.scalar;
        }
    }
    if (!socket && data_dir) socket = *data_dir + "/control.sock";
    if (!socket || socket->find('$') != std::string::npos) return std::nullopt;
    // Relative paths count from the directory of the configuration.
    namespace fs = std::filesystem;
    const fs::path base = fs::is_directory(path) ? fs::path(path) : fs::path(path).parent_path();
    return (base / *socket).string();
}

constexpr const char* kSocketVariable = "POSTFLEET_SOCKET";
constexpr const char* kRouterVariable = "POSTFLEET_ROUTER";

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

// Not CLI11's envname: --router on the command line goes before POSTFLEET_SOCKET in the environment.
std::string help_of(const char* text, const char* variable) { return fmt::format("{} (Env:{})", text, variable); }

}  // namespace

Result<std::vector<std::string>> read_list(const std::string& file) {
    std::ifstream opened;
    if (file != "-") {
        opened.open(file);
        if (!opened) return Error{ErrorKind::NotFound, file + ": cannot be read"};
    }
    std::istream& in = file == "-" ? std::cin : opened;
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) {
        if (!trim(line).empty() && line[0] != '#') lines.push_back(std::move(line));
    }
    return lines;
}

void report_failure(const Error& error) {
    const std::string text(trim(error.text));
    std::fprintf(stderr, "postfleet: %s\n", text.c_str());
}

void Context::fail(const Error& error) {
    exit_code = 1;
    report_failure(error);
}

Result<std::string> Context::call(const std::string& command, const runtime::ControlArguments& arguments,
                                  Duration timeout) const {
    // A router's own business goes to its socket, wherever senders are.
    const bool is_for_senders = recipients_of(command, arguments) != Recipients::NoSender;
    if (const auto asked = is_for_senders ? asked_cluster() : std::nullopt) {
        const auto note = [this](const std::string& text) {
            if (told.insert(text).second) std::fprintf(stderr, "postfleet: %s\n", printable(text, 1'000).c_str());
        };
        const auto missing = [this, note](const std::string& text) {
            exit_code = 1;
            note(text);
        };
        return call_cluster(*asked, command, arguments, timeout, {.missing = missing, .note = note});
    }
    if (is_of_router(command)) return call_router(command, arguments, timeout);
    const Result<std::string> path = find_socket();
    if (!path) return path.error();
    return runtime::call_control(*path, command, arguments, timeout);
}

Result<std::string> Context::call_router(const std::string& command, const runtime::ControlArguments& arguments,
                                         Duration timeout) const {
    std::string path = socket.empty() ? environment(kSocketVariable) : socket;
    const bool is_guess = path.empty();
    if (is_guess) path = kDefaultRouterSocket;
    auto answer = runtime::call_control(path, command, arguments, timeout);
    std::error_code ignored;
    if (answer || !is_guess || std::filesystem::exists(path, ignored)) return answer;
    return Error{ErrorKind::Unavailable, "a router answers this, on its machine; there is none at " + path +
                                             "; name its control socket with --socket (DATA-DIR/control.sock of "
                                             "postfleet-router)"};
}

std::optional<ClusterAccess> Context::asked_cluster() const {
    if (!socket.empty()) return std::nullopt;
    ClusterAccess asked = cluster;
    if (asked.routers.empty()) {
        const bool is_local = asked.sender.empty() && !environment(kSocketVariable).empty();
        if (!is_local) asked.routers = environment(kRouterVariable);
    }
    return asked.routers.empty() ? std::nullopt : std::optional(std::move(asked));
}

Result<std::string> Context::find_socket() const {
    if (!socket.empty()) return socket;
    if (std::string named = environment(kSocketVariable); !named.empty()) return named;
    std::error_code ignored;
    if (config.empty() && !std::filesystem::exists(kDefaultConfig, ignored)) return std::string(kDefaultSocket);
    const std::string directory = config.empty() ? kDefaultConfig : config;
    const config::LoadResult loaded = config_files::load_path(directory);
    if (loaded.config) return loaded.config->control_socket;
    if (const std::optional<std::string> guessed = guess_socket(directory)) return *guessed;
    return Error{ErrorKind::InvalidArgument,
                 "the configuration in " + directory + " does not say where the running process is: " +
                     (loaded.problems.empty() ? "it is not valid" : loaded.problems.front().to_string()) +
                     "; name its socket with --socket PATH"};
}

void add_connection_options(CLI::App& command, Context& context) {
    command.add_option("--config", context.config, "Configuration directory of the running process")
        ->envname("POSTFLEET_CONFIG")
        ->type_name("DIR");
    command.add_option("--socket", context.socket, help_of("Control socket of the running process", kSocketVariable))
        ->type_name("PATH");
    const auto add = [&](const char* name, std::string& value, const char* help, const char* variable,
                         const char* type) {
        command.add_option(name, value, help)->envname(variable)->type_name(type)->group("In a cluster");
    };
    ClusterAccess& cluster = context.cluster;
    command
        .add_option("--router", cluster.routers, help_of("Ask the senders that these routers know", kRouterVariable))
        ->type_name("ADDR:PORT,…")
        ->group("In a cluster");
    add("--sender", cluster.sender, "Only this sender; without it: all, and their answers together", "POSTFLEET_SENDER",
        "NAME");
    add("--tls-ca", cluster.tls.ca, "CA of the cluster's certificates", "POSTFLEET_TLS_CA", "FILE");
    add("--tls-certificate", cluster.tls.certificate, "Your certificate", "POSTFLEET_TLS_CERTIFICATE", "FILE");
    add("--tls-key", cluster.tls.private_key, "Its private key", "POSTFLEET_TLS_KEY", "FILE");
    command
        .add_flag("--unsafe-plaintext", cluster.tls.unsafe_plaintext, "Without certificates, also to other machines")
        ->envname("POSTFLEET_UNSAFE_PLAINTEXT")
        ->group("In a cluster");
    command.add_flag("--json", context.json, "Write JSON for programs instead of text for people");
}

void add_why(CLI::App& command, std::string& why, const std::string& help) {
    command.add_option("--why,--reason", why, help)->type_name("TEXT");
}

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

}  // namespace postfleet::standalone
