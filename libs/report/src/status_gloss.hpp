// gloss: the fixed English words that accounting files put behind an enhanced status (RFC 3463, shortened).
#pragma once

#include <string_view>

#include "postfleet/mail/reply.hpp"

namespace postfleet::report {

// "bad destination mailbox address" for 5.1.1; "success" for 2.x.x; the subject's own words when the detail is
// not known, as RFC 3463 §2 has it. Never empty.
std::string_view gloss(const EnhancedStatus& status);

}  // namespace postfleet::report
