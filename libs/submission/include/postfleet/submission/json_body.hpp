// parse_json: a body of application/json as a Submission (docs/SUBMITTING_BY_QUEUE.md has every field).
//
//   {"from": "Shop <shop@example.com>", "to": ["a@example.org"], "subject": "Hello", "text": "Hello!"}
//   {"envelope": "bounces@example.com", "recipient": "a@example.org", "mime": "From: …"}      as MailerQ takes it
//
// One object, of which every member is known and stands once. Nesting is at most kMaxJsonDepth, and a
// list has at most kMaxJsonItems: as many recipients as may be configured, and some.
//
// Threads: a pure function. Errors: InvalidArgument, with the member's path, what is wrong and how to mend it.
#pragma once

#include <cstddef>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"

namespace postfleet::submission {

inline constexpr std::size_t kMaxJsonDepth = 16;
inline constexpr std::size_t kMaxJsonItems = 110'000;

Result<Submission> parse_json(std::string_view body);

}  // namespace postfleet::submission
