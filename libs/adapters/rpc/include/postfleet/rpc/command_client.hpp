// What an operator's command line asks: the routers who is there, and processes to carry out a command.
//
// Threads: any; blocks, at most for the deadline. Errors: Unavailable (nobody answers), InvalidArgument (certificates are
// missing), and what those who are asked say.
#pragma once

#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/rpc/members.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::rpc {

struct ClusterView {
    std::vector<Member> members;         // that have announced themselves lately
    std::vector<std::string> senders;    // names that belong to a spool, whether or not it is there
    std::vector<std::string> spoolless;  // that have none, although the configuration gives them mail
};

// What all routers know between them.
Result<ClusterView> view_cluster(const std::vector<std::string>& routers, const TlsFiles& tls, Duration deadline);

// All at once; the answers are in the order of `members`. Those of a service that takes no commands are NotFound.
std::vector<Result<std::string>> run_commands(const std::vector<Member>& members, const OperatorCommand& command,
                                              const TlsFiles& tls, Duration deadline);

}  // namespace postfleet::rpc
