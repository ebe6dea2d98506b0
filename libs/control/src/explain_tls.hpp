// explain_tls: what a domain and its hosts publish about TLS: TLSA records (DANE), an MTA-STS policy, and where TLS
// reports go. Part of explain_domain().
//
// Asks as it goes, and blocks until each answer is there or the question's patience is over. What is answered is part of
// the explanation, never an error.
#pragma once

#include <string>
#include <vector>

#include "postfleet/control/explain_domain.hpp"
#include "postfleet/base/json.hpp"

namespace postfleet::control {

struct TlsQuestion {
    std::string domain;
    std::vector<std::string> signed_hosts;  // those whose TLSA records would be believed
    bool has_route = false;                 // the operator's word: no policy counts
};

// A member "tls" of the object that `json` is in.
void explain_tls(const TlsQuestion& question, const config::Config& config, const DomainPorts& ports, JsonWriter& json);

}  // namespace postfleet::control
