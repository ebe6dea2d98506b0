// sender_rights: whether a message's header names only senders that a user may send as (VU#244112, CVE-2024-7208).
//
// From, Sender, Resent-From and Resent-Sender, every occurrence, every mailbox; there must be a From. A header that
// other programs may read differently, with a line that is no field, is refused as well.
// Threads: a pure function.
#pragma once

#include <string>
#include <string_view>

#include "postfleet/ingest/user_directory.hpp"

namespace postfleet::ingest {

// Empty: all is well. Otherwise the text of a 550 5.7.1.
std::string refused_sender(std::string_view content, const KnownUser& user);

}  // namespace postfleet::ingest
