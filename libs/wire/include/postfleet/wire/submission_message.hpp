// What applications hand in as protobuf: postfleet.v1.Submission (proto/postfleet/v1/submission.proto) as a Submission.
//
// Strict: a field that this version does not know is an error, so that nothing an application said is left out in
// silence. The content is moved, not copied.
//
// Threads: pure functions. Errors: InvalidArgument, with the field's name, what is wrong and how to mend it.
#pragma once

#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"

namespace postfleet::v1 {
class Submission;
}

namespace postfleet::wire {

Result<Submission> parse_submission(std::string_view octets);
Result<Submission> to_submission(v1::Submission&& message);

}  // namespace postfleet::wire
