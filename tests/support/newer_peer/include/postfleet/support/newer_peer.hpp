// add_unknown_fields: a message as a peer of a later version writes it.
//
// It and every message in it get a number, octets and a message under field numbers that nobody has given out, so that a
// test can ask for what an older process makes of what it knows. Threads: any.
#pragma once

#include <postfleet/v1/handover.pb.h>

namespace postfleet::support {

void add_unknown_fields(google::protobuf::Message& message);

}  // namespace postfleet::support
