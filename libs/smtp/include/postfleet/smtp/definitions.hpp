// The argument of XDFN, PowerMTA's definition of mail merge variables: name=value name="a value" …
//
// Names come in lower case. In a value \" is a quote, \\ a backslash, and \r\n, \r and \n are one line break each, which
// comes as CRLF; any other backslash is itself. Reserved variables are told by their names; what they may be is the
// policy's business. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "postfleet/mail/merge.hpp"

namespace postfleet::smtp {

enum class DefinitionError : std::uint8_t {
    None,
    Syntax,
    Twice,     // two variables of one name
    Reserved,  // *to and *date, which have their values, and reserved variables that are not known
    TooMuch,   // kMaxMergeVariables, kMaxMergeOctets
};

// Adds to `variables`; after a mistake they are of no use.
DefinitionError parse_definitions(std::string_view argument, MergeVariables& variables);

}  // namespace postfleet::smtp
