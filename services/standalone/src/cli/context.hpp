// Context: what every command shares: where the process is, how to write, and the exit code.
//
// Exit codes: 0 it was done, 1 it failed (one line on standard error says what, where and how to mend it),
// 2 the command line was wrong.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster_call.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::standalone {

struct Context {
    std::string config;  // --config, or POSTFLEET_CONFIG
    std::string socket;  // --socket
    ClusterAccess cluster;
    bool json = false;
    mutable int exit_code = 0;             // 1 after an answer that is not of all
    mutable std::set<std::string> told{};  // beside the answers; said once

    void fail(const Error& error);
    // Calls the running process, or with --router the senders of the cluster. An error was reported when there is no value.
    Result<std::string> call(const std::string& command, const runtime::ControlArguments& arguments = {},
                             Duration timeout = std::chrono::seconds(30)) const;
    // The cluster whose senders are asked, if one is: --router or --sender without --socket. In the environment it is the
    // other way round, since every container of a cluster has both: what POSTFLEET_SOCKET names goes before POSTFLEET_ROUTER.
    std::optional<ClusterAccess> asked_cluster() const;
    // The control socket: --socket or POSTFLEET_SOCKET, else what the configuration says, else the usual place.
    Result<std::string> find_socket() const;

private:
    Result<std::string> call_router(const std::string& command, const runtime::ControlArguments& arguments,
                                    Duration timeout) const;
};

inline constexpr const char* kDefaultConfig = "/etc/postfleet";
inline constexpr const char* kDefaultSocket = "/var/lib/postfleet/control.sock";
inline constexpr const char* kDefaultRouterSocket = "/var/lib/postfleet-router/control.sock";

// --config, --socket, --router and --json, for commands that talk to a running process.
void add_connection_options(CLI::App& command, Context& context);
// The operator's reason, by either of its names.
void add_why(CLI::App& command, std::string& why, const std::string& help);

// The lines of a file, or of standard input for "-", without those that are empty or begin with '#'.
Result<std::vector<std::string>> read_list(const std::string& file);

// One line on standard error: "postfleet: what, where, how to mend it".
void report_failure(const Error& error);

// To standard output, at once.
void print(const std::string& text);

}  // namespace postfleet::standalone
