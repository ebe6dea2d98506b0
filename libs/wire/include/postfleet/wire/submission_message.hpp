// What applications hand in as protobuf: postfleet.v1.Submission (proto/postfleet/v1/submission.proto) as a Submission.
//
// Strict: a field that this version does not know is an error, so that nothing an application said is left out in
// silence. The content is moved, not copied. Two octets can be a recipient that takes two hundred in memory: so fields are
// counted before anything is allocated for them.
//
// Threads: pure functions. Errors: InvalidArgument, with the field's name, what is wrong and how to mend it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"

namespace postfleet::v1 {
class Submission;
}

namespace postfleet::wire {

// As many recipients as may be configured, each with three variables, and what is beside them.
inline constexpr std::size_t kMaxSubmissionParts = 110'000;
inline constexpr std::size_t kMaxSubmissionFields = 1'500'000;

struct SubmissionSurvey {
    std::size_t parts = 0;            // recipients, addresses, header fields, attachments, metadata
    std::size_t fields = 0;           // in all its messages
    std::uint64_t memory_octets = 0;  // about what it takes until it is finished
};

// Reads it over, without allocating. Errors: it is none, or has too much in it.
Result<SubmissionSurvey> survey_submission(std::string_view octets);
Result<Submission> parse_submission(std::string_view octets);
Result<Submission> to_submission(v1::Submission&& message);

}  // namespace postfleet::wire
