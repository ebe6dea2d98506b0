// classify: what a final refusal says about the address: bounce type and category.
//
// Here the category is told from the enhanced status (RFC 3463) first, then from the phase and the reply code;
// Classifier (classifier.hpp) asks patterns over the text before that. The type says what a list owner may do:
//
//   hard   the address is bad for good: bad-mailbox, bad-domain, inactive-mailbox. Take it off the list
//   block  the message, the sender or its reputation was refused; the address may be good
//   soft   anything else
//
// A refusal for reputation or policy is never hard, whatever its code.
// Threads: pure functions. Errors: none; what nothing else fits is "other".
#pragma once

#include "postfleet/mail/bounce_category.hpp"
#include "postfleet/mail/event.hpp"
#include "postfleet/mail/reply.hpp"

namespace postfleet::bounce {

using Category = BounceCategory;

Category categorize(const Reply& reply, SmtpPhase phase);
const char* type_of(Category category);  // "hard", "soft", "block"

BounceFacts classify(const Reply& reply, SmtpPhase phase);

}  // namespace postfleet::bounce
