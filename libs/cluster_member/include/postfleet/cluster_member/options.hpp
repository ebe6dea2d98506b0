// MemberOptions: what a service of a cluster is told on its command line, or by environment variables. All the rest is in
// the configuration, which the router gives it.
#pragma once

#include <string>
#include <vector>

#include "postfleet/base/broker_access.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::cluster_member {

struct MemberOptions {
    std::vector<std::string> routers{"127.0.0.1:7400"};
    rpc::TlsFiles tls;
    BrokerAccess broker;
    std::string name;      // of this process; default: the machine's
    std::string data_dir;  // made if missing
    std::string files = "/etc/postfleet";
    Endpoint http;
    std::string control;    // where operators are answered; empty: this service answers none
    std::string advertise;  // the same as others reach it
    std::string log;        // empty: standard error
    LogLevel log_level = LogLevel::Info;
};

// What the help says, and the defaults that differ.
struct MemberProgram {
    std::string name;   // "postfleet-ingest"
    std::string about;  // some sentences
    std::string footer;
    std::string process_name_help = "Name of this process, for logs";
    std::string data_dir, http;
    std::string control{};  // empty: no operator asks it anything
};

// False: the process is to end with `exit_code` (--help, a mistake, which was printed).
bool parse_member_options(int argc, char** argv, const MemberProgram& program, MemberOptions& options, int& exit_code);

}  // namespace postfleet::cluster_member
