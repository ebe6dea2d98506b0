// Options: what postfleet-router is told on its command line, or by environment variables.
#pragma once

#include <string>

#include "postfleet/base/log.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::router {

struct Options {
    std::string config = "/etc/postfleet";
    std::string data_dir = "/var/lib/postfleet-router";
    std::string listen = "127.0.0.1:7400";
    std::string http = "127.0.0.1:8081";
    std::string state;   // empty: SQLite in data_dir
    std::string socket;  // empty: control.sock in data_dir
    std::string log;     // empty: standard error
    LogLevel log_level = LogLevel::Info;
    rpc::TlsFiles tls;
};

// Nothing: the process is to end with `exit_code` (--help, a mistake).
bool parse_options(int argc, char** argv, Options& options, int& exit_code);

}  // namespace postfleet::router
