// choose_signatures: which of the configured keys sign a message, and as what.
//
//   1 rules that its user and tenant may use, of the key list that it names (or of none)
//   2 of these, with s= in X-DKIM-Options those of the selector, with d= those of the domain
//   3 of these, those nearest to the author's domain (or to d=), all that are equally near. At the same distance a rule
//     for its user comes before one for its tenant, and that before one for everybody
//   4 and every rule with `also` that is for the author's domain, whatever the options say
//
// In the order of the configuration. No rule at all: the message goes unsigned. A message that asks for a signature
// (X-DKIM-Options) and fits no rule is an error, as is an i= outside its d=.
//
// Threads: pure functions. The rules outlive what is returned.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/config/dkim.hpp"
#include "postfleet/dkim/options.hpp"

namespace postfleet::dkim {

struct Applicant {
    std::string from_domain;    // of the first author; empty: there is none that can be read
    std::string sender_domain;  // of Sender; empty: From's
    std::string_view tenant, user;
};

struct Choice {
    std::size_t rule = 0;  // its index
    std::string domain;    // d=
    std::string identity;  // i=; empty: none
};

Result<std::vector<Choice>> choose_signatures(std::span<const config::DkimRule> rules, const Applicant& applicant,
                                              const Options& options);

// `domain` is `parent` or below it.
bool is_within(std::string_view domain, std::string_view parent);

}  // namespace postfleet::dkim
