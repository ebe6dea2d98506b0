// Rendition: the octets of one message as one kind of transaction sends them.
//
//   stored content ─▶ mail merge ─▶ long lines broken, where acceptance left that to us
//                  ─▶ 7-bit conversion, where the server lacks 8BITMIME ─▶ fields of our own ─▶ DKIM ─▶ wire
//
// Each step sees the octets that the one before made; nothing touches them after the last. Most mail needs no
// rendition: it goes out as it is stored. `header` goes in front of the content, in place of
// Message::prepended_header; the content stays where it is on disk unless a step had to rewrite it.
//
// The same message rendered twice in the same form gives the same octets but for the signatures, so a retry sends what
// the first attempt sent. Threads: immutable once made; shared by all sessions that send it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::sender {

// What a transaction asks for. The default is the message as it is stored.
struct RenditionForm {
    bool seven_bit = false;    // the server does not offer 8BITMIME, and the content needs it
    bool short_lines = false;  // acceptance wants its long lines broken, if there are any (Message::has_long_lines)
    bool is_signed = false;    // there are DKIM keys; whether one is for this message its header says
    bool is_merged = false;    // for one recipient, from its variables
    bool is_rewritten() const { return seven_bit || short_lines || is_merged; }
    bool is_as_stored() const { return *this == RenditionForm{}; }
    friend bool operator==(const RenditionForm&, const RenditionForm&) = default;
};

struct RenditionKey {
    MessageId message;
    RenditionForm form;
    friend bool operator==(const RenditionKey&, const RenditionKey&) = default;
};

struct Rendition {
    std::string header;
    SharedOctets content;  // null: the stored one, chunk by chunk
    BodyType body_type = BodyType::SevenBit;
    bool has_leading_dots = true;
    std::uint64_t size_octets = 0;      // header and content
    std::optional<WallTime> signed_at;  // nothing: it bears no signature of ours
    std::optional<WallTime> renew_at;   // a signature of it expires some time after that

    // A clock that was set back leaves signatures of the future, which verifiers refuse (RFC 6376 §3.5, t=). Shards
    // need not have the same time to the millisecond.
    bool is_stale(WallTime now) const {
        return (renew_at && now >= *renew_at) || (signed_at && now + std::chrono::minutes(1) < *signed_at);
    }
    std::uint64_t memory() const { return sizeof(Rendition) + header.size() + (content ? content->size() : 0); }
};

struct RenditionOutcome {
    enum class Kind : std::uint8_t {
        Ready,
        Refused,     // `reply` is our own words: 5.6.3 and the like, or 4.x for a later attempt
        Failed,      // there is no such text, now or later: `reply` has the reason
        Unreadable,  // the spool's content, `error` says why
        Busy,        // too much is being rendered: a little later
    };
    Kind kind = Kind::Ready;
    std::shared_ptr<const Rendition> rendition;  // null: as it is stored
    Reply reply;
    Error error;
};

}  // namespace postfleet::sender

template <>
struct std::hash<postfleet::sender::RenditionKey> {
    std::size_t operator()(const postfleet::sender::RenditionKey& key) const noexcept {
        return std::hash<postfleet::MessageId>()(key.message) ^ static_cast<std::size_t>(key.form.seven_bit) ^
               static_cast<std::size_t>(key.form.is_signed) << 1;
    }
};
