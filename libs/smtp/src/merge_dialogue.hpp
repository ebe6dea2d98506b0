// What ServerSession remembers of PowerMTA's mail merge: XACK for the connection, the rest for its open transaction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/mail/merge.hpp"
#include "postfleet/smtp/server_session.hpp"

namespace postfleet::smtp {

struct ServerSession::Merge {
    bool acknowledges = true;  // XACK ON
    std::string chunk_answer;  // to a BDAT that comes behind a withheld refusal

    bool is_open = false;      // the transaction began with XMRG
    std::string withheld;      // the first refusal that was not said
    MergeVariables variables;  // of the RCPT to come
    bool definition_failed = false;
    std::vector<MergePart> parts;  // that are here, and the one that comes
    bool is_last = false;
    bool has_leading_dots = false, has_eight_bit = false;
};

}  // namespace postfleet::smtp
