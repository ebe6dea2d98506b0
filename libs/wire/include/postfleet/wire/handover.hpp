// Handover: one message with those of its tasks that one sender owns, as it goes through the broker
// (proto/postfleet/v1/handover.proto).
//
//   encode  one buffer; content is copied once
//   decode  a hand-over that was encoded here comes back as it was. What a newer version has added is passed over
//
// Octets from a broker are trusted no more than others: sizes and counts are bounded before anything is allocated for
// them, every number must fit, and what the spool takes for granted is checked: task numbers and recipients that differ,
// content as long as the message says, in as many chunks.
//
// Threads: pure functions. Errors: InvalidArgument, with the name of the field; Unavailable for a version that is newer than
// this code: a sender that was upgraded can take it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::wire {

inline constexpr std::string_view kHandoverContentType = "application/x-postfleet-handover", kHandoverType = "handover";
inline constexpr std::uint32_t kHandoverVersion = 1;
inline constexpr std::size_t kMaxHandoverOctets = 64u << 20;
// Tasks, recipients, merge parts, metadata … of one hand-over together. Each takes some hundred octets of memory.
inline constexpr std::size_t kMaxHandoverElements = 250'000;

struct Handover {
    // What a sender remembers, with the numbers of the tasks, so as to drop the same hand-over when it comes again: the
    // message's id for new mail.
    MessageId id;
    std::shared_ptr<const Message> message;
    std::vector<Task> tasks;
    std::vector<SharedOctets> content;  // message->content_chunks of them, as they are in a spool
};

std::string encode_handover(const Handover& handover);
Result<Handover> decode_handover(std::string_view octets);

}  // namespace postfleet::wire
