// What the members of a JSON submission do to the value that is made of it.
#pragma once

#include <span>

#include "json_values.hpp"

namespace postfleet::submission {

struct JsonSubmission {
    Submission submission;
    Draft draft;
    bool has_draft = false;              // a member was given that only a draft has
    MergeVariables shared;               // data: of every recipient that has no value of its own
    SubmittedRecipient every_recipient;  // dsn: its notify and original
    bool has_variables = false;          // anybody's
};

std::span<const Member<JsonSubmission>> json_members();

}  // namespace postfleet::submission
