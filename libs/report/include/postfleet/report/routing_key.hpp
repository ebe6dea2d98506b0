// report_routing_key: where an event goes in a topic exchange: "<type>.<tenant>.<pool>", four words of which a
// reader may leave any to "*": "email.bounced.acme.bulk", "queue.backoff_entered.none.bulk".
//
// Dots separate the words of a topic, "*" and "#" stand for others, and a key has 255 octets; so whatever is not a
// letter, a digit, "-" or "_" in the name of a tenant or pool becomes "_", a name is cut after 100 octets, and what an
// event does not have is "none". Threads: pure.
#pragma once

#include <string>

#include "postfleet/mail/event.hpp"

namespace postfleet::report {

std::string report_routing_key(const Event& event);

// The pool that the mail was bound to; empty: none, or not known.
const std::string& pool_of(const Event& event);

}  // namespace postfleet::report
