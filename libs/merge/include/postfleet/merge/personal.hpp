// personal(): a message as it is for one of its recipients, where mail merge or VERP makes it differ.
//
// Reverse-path (*from, VERP), envelope id (*envid), job (*jobid), delivery windows (*schedule), metadata (*subaccountid, *custommessageid), and the
// texts that reports show. Its content is the stored one: a Merger wants the message, not this. Threads: pure functions.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "postfleet/mail/message.hpp"

namespace postfleet::merge {

// Whether a recipient's copy differs from those of the others, so that it is a task by itself.
inline bool is_personal(const Message& message) { return message.verp || message.merge; }

// The message itself where nothing differs.
std::shared_ptr<const Message> personal(const std::shared_ptr<const Message>& message, const Recipient& recipient);

// "user-rcptlocal=rcptdomain@domain": whom a bounce is about can be read from where it goes. <> stays, and so does a path
// where either local part is quoted.
std::string verp_path(std::string_view reverse_path, std::string_view recipient);

}  // namespace postfleet::merge
