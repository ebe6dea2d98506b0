// Ids: MessageId is a UUIDv7 (RFC 9562 §5.7), so ids sort by acceptance time; EventId is the first 128 bits
// of a hash of what the event is about, so that a repeated event has the same id.
//
// Threads: value types; IdGenerator is confined (one per shard) and needs no lock.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet {

struct MessageId {
    std::array<std::uint8_t, 16> octets{};

    // "0193…-7…" in the 8-4-4-4-12 form of RFC 9562, lower case.
    std::string to_string() const;
    static Result<MessageId> parse(std::string_view text);
    bool is_nil() const { return *this == MessageId{}; }
    // To the millisecond. Within a burst of ids it may be a little ahead of the clock (IdGenerator).
    WallTime made_at() const;
    friend auto operator<=>(const MessageId&, const MessageId&) = default;
};

struct EventId {
    std::array<std::uint8_t, 16> octets{};
    std::string to_string() const;  // 32 hexadecimal digits
    friend auto operator<=>(const EventId&, const EventId&) = default;
};

// Makes UUIDv7 ids that increase within one generator, even inside a millisecond or when the clock steps
// back. The random part is seeded from the operating system, or by the caller in tests.
class IdGenerator {
public:
    IdGenerator();
    explicit IdGenerator(std::uint64_t seed);
    MessageId next(WallTime now);

private:
    std::uint64_t random();
    std::array<std::uint64_t, 2> state_{};
    std::int64_t last_milliseconds_ = 0;
    std::uint16_t sequence_ = 0;
};

// A stable 128-bit hash of a few short pieces (not for security).
EventId hash_event_id(std::string_view what);

}  // namespace postfleet

template <>
struct std::hash<postfleet::MessageId> {
    std::size_t operator()(const postfleet::MessageId& id) const noexcept;
};
