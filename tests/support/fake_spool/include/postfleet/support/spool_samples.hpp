// Samples of what a spool stores, with every field set to something of its own, from a number.
#pragma once

#include <memory>
#include <string>

#include "postfleet/ports/spool.hpp"

namespace postfleet::support {

MessageId sample_id(std::uint64_t n);  // increases with n, as UUIDv7 do
std::shared_ptr<Message> sample_message(std::uint64_t n);
Task sample_task(std::uint64_t n, std::uint32_t number = 0);
Event sample_event(std::uint64_t n, EventType type = EventType::Delivered);
SharedOctets sample_content(std::uint64_t n, std::size_t octets = 2000);

// A message with one chunk, one task and one event: what ingest commits.
SpoolBatch sample_acceptance(std::uint64_t n, std::size_t octets = 2000);
// Its end: the task and the message go, an event comes.
SpoolBatch sample_outcome(std::uint64_t n);

// What an event must still say after it was stored: the message without the parts that reports do not need.
bool tells_the_same(const Event& stored, const Event& original);

}  // namespace postfleet::support
