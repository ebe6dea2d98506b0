// explain_domain: where mail for a domain goes, and why: its hosts, their addresses, site, provider, queues, and what
// shapes them, each with the line of the configuration that decides; what is published about TLS with them. The answer of `postfleet resolve`, as JSON.
//
// Asks the resolver and blocks until it has answered, at most kPatience; `on` runs completions on another thread.
// What DNS says is part of the answer, never an error; errors are a domain or a virtual MTA that cannot be.
#pragma once

#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/ports/http_client.hpp"
#include "postfleet/ports/resolver.hpp"

namespace postfleet::control {

struct DomainQuestion {
    static constexpr Duration kPatience = std::chrono::seconds(25);
    std::string domain;       // an address will do
    std::string virtual_mta;  // whose settings are told; empty: the default's
};

struct DomainPorts {
    Resolver& resolver;
    Executor& on;
    HttpClient* http = nullptr;  // null: MTA-STS policies are not fetched
};

Result<std::string> explain_domain(const DomainQuestion& question, const config::Config& config,
                                   const DomainPorts& ports);

}  // namespace postfleet::control
