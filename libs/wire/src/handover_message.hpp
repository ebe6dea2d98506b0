// The parts of a hand-over, to and from protobuf. The readers say in `wrong` which field is wrong, and leave it empty
// otherwise.
#pragma once

#include <postfleet/v1/handover.pb.h>

#include <string>

#include "postfleet/mail/message.hpp"

namespace postfleet::wire {

using PbHandover = postfleet::v1::Handover;

void write_message(const Message& from, PbHandover::Message& to);
void write_task(const Task& from, PbHandover::Task& to);

void write_reply(const Reply& from, PbHandover::Reply& to);

// `wrong` is "reply.code" …
void read_reply(const PbHandover::Reply& from, Reply& to, std::string& wrong);
void read_message(const PbHandover::Message& from, Message& to, std::string& wrong);
void read_task(const MessageId& message, const PbHandover::Task& from, Task& to, std::string& wrong);

// False unless there are 16 octets.
bool read_id(const std::string& from, MessageId& to);

}  // namespace postfleet::wire
