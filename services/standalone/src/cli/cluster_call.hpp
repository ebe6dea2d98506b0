// call_cluster: a command for the senders of a cluster, whom the routers name; none that is a router's own business
// (recipients_of()).
//
// Threads: any; blocks, at most for `timeout` beside the time that routers take. Errors: no router answers, or none of
// those who are asked; who of several does not answer is told to `remarks`, and the others' answers count.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/rpc/tls_files.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::standalone {

struct ClusterAccess {
    std::string routers;  // "router-0:7400,router-1:7400"; empty: no cluster is named
    std::string sender;   // only this one; empty: all
    rpc::TlsFiles tls;
};

// What an operator should know beside the answer.
struct CallRemarks {
    std::function<void(const std::string&)> missing;  // somebody's answer
    std::function<void(const std::string&)> note;     // the answer is whole all the same
};

Result<std::string> call_cluster(const ClusterAccess& access, const std::string& command,
                                 const runtime::ControlArguments& arguments, Duration timeout,
                                 const CallRemarks& remarks);

}  // namespace postfleet::standalone
