// fetch_sts_policy: the MTA-STS policy of a domain, from its policy host (RFC 8461 §3.3).
//
// mta-sts.<domain> is looked up, its addresses go through the same rules as those of MX hosts, and the file is asked
// for over HTTPS: status 200, text/plain, at most 64 KiB, within kPatience.
//
// Threads: thread-safe; the completion runs on the executor named. Errors: PermissionDenied (the certificate is
// refused), InvalidArgument (the file is no policy), and whatever else kept it from being fetched.
#pragma once

#include <memory>
#include <string>

#include "postfleet/mta_sts/policy.hpp"
#include "postfleet/ports/http_client.hpp"
#include "postfleet/ports/resolver.hpp"
#include "postfleet/routing/snapshot.hpp"

namespace postfleet::sender {

struct StsFetch {
    static constexpr Duration kPatience = std::chrono::minutes(1);
    std::string domain;
    std::string ca_file;                             // empty: the system's
    std::shared_ptr<const routing::Snapshot> rules;  // which addresses may be connected to
};

void fetch_sts_policy(Resolver& resolver, HttpClient& http, StsFetch fetch, Completion<Result<mta_sts::Policy>> done);

}  // namespace postfleet::sender
