// The answer to `postfleet show intake`, as JSON: mail for us that is kept.
#pragma once

#include <string>
#include <vector>

#include "postfleet/maildir/maildir_intake.hpp"

namespace postfleet::standalone {

std::string render_intake(const maildir::MaildirIntake::Statistics& all,
                          const std::vector<maildir::MaildirIntake::Kept>& listed);

}  // namespace postfleet::standalone
