// EventBatch: events of one sender's outbox as they go through the broker (proto/postfleet/v1/events.proto).
//
// encode writes events with the facts of their messages, each message once; decode gives back what was encoded, with
// one Message shared by the events of its recipients. What only a spool needs of a message is left out: the header
// fields put in front of it, and what its signature and its template need.
//
// Octets from a broker are trusted no more than others: a batch is bounded before anything is allocated for it, every
// number must fit and every message must be there.
//
// Threads: pure functions. Errors: InvalidArgument, with the name of the field; Unavailable for a newer version.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/event.hpp"

namespace postfleet::wire {

inline constexpr std::string_view kEventsContentType = "application/x-postfleet-events";
inline constexpr std::uint32_t kEventsVersion = 1;
inline constexpr std::size_t kMaxEventBatchOctets = 8u << 20;
inline constexpr std::size_t kMaxEventsOfBatch = 10'000;

struct SequencedEvent {
    std::uint64_t sequence = 0;  // in the outbox of its source
    std::shared_ptr<const Event> event;
};

struct EventBatch {
    std::string source;
    std::vector<SequencedEvent> events;
};

std::string encode_events(const EventBatch& batch);
Result<EventBatch> decode_events(std::string_view octets);

// About what an event adds to a batch, its message included; never less than half of it.
std::size_t octets_in_batch(const Event& event);

}  // namespace postfleet::wire
