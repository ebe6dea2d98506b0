// The body of a submission, whatever its content type is.
#pragma once

#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"
#include "postfleet/ports/broker.hpp"

namespace postfleet::ingest {

// Errors: InvalidArgument, for whoever submitted it.
Result<Submission> parse_submission_body(const BrokerMessage& message);

}  // namespace postfleet::ingest
