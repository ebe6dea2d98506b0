// The parts of a notification, each with its own header fields. Pure.
#pragma once

#include <string>
#include <string_view>

#include "postfleet/dsn/notification.hpp"
#include "text.hpp"

namespace postfleet::dsn {

// text/plain, for people.
void append_text_part(std::string& out, const Notification& notification);
// What the sender can do about a refusal of this kind.
std::string_view advice(const RecipientStatus& recipient);

// message/delivery-status, for programs.
void append_status_part(std::string& out, const Notification& notification, Charset charset);

// The message itself, or its header; nothing when there is none to return.
void append_returned_part(std::string& out, const Notification& notification, Charset charset);

}  // namespace postfleet::dsn
