// parse_message: a body of message/rfc822 as a Submission: the octets are the message, headers beside it the envelope.
//
//   mail-from (once), rcpt-to (as often as needed), virtual-mta, job, envid, priority, send-at, expires-at, tag (often),
//   idempotency-key; the rest is none of ours
//
// Threads: a pure function. Errors: InvalidArgument, with the header's name, what is wrong and how to mend it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"

namespace postfleet::submission {

Result<Submission> parse_message(std::string content, const std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace postfleet::submission
