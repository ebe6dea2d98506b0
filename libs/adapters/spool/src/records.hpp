// The records of the index, and their keys (docs/SPOOL_FORMAT.md, "Records").
//
//   key     message id, 16 octets · task and chunk: + number, 32 bits big-endian · event: 64 bits big-endian
//           taken: day since 1970 (UTC), 32 bits big-endian, and the id, so that a day is forgotten by ranges of keys
//   value   version (1) · checksum (4) · [location (24), of message and chunk] · fields
//
// The checksum is the CRC-32C of column, key and everything in the value but itself: a record that was
// misplaced does not check out either. New fields are added with new numbers; the version changes only when
// an older Postfleet must not touch the record.
//
// Threads: pure functions. Errors: Corruption; InvalidArgument for a version that is newer than this code.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/event.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::spool {

enum class Column : std::uint8_t {
    Task = 1,
    Message = 2,
    Chunk = 3,
    Outbox = 4,
    Note = 5,
    Cursor = 6,
    Quarantine = 7,
    Taken = 8
};
inline constexpr std::uint8_t kLastColumn = 8;
const char* to_string(Column column);

// Where a chunk of content is in the log.
struct Location {
    std::uint64_t segment = 0;
    std::uint64_t offset = 0;
    std::uint32_t size = 0;
    std::uint32_t checksum = 0;
    friend bool operator==(const Location&, const Location&) = default;
};

inline constexpr std::uint8_t kPlainVersion = 1;  // nearly all records
// The newest: messages with mail merge or VERP, which an older Postfleet would send as they are stored.
inline constexpr std::uint8_t kRecordVersion = 2;
inline constexpr std::size_t kRecordHeaderOctets = 5;
inline constexpr std::size_t kLocationOctets = 24;
inline constexpr std::size_t kIdOctets = 16;
inline constexpr std::size_t kNumberedKeyOctets = kIdOctets + 4;  // task, chunk
inline constexpr std::size_t kEventKeyOctets = 8;
inline constexpr std::size_t kTakenKeyOctets = 4 + kIdOctets;

inline std::string_view key_of(const MessageId& id) {
    return {reinterpret_cast<const char*>(id.octets.data()), id.octets.size()};
}
std::string key_of(const MessageId& id, std::uint32_t number);  // task, chunk
inline std::string key_of(const TaskKey& key) { return key_of(key.message, key.number); }
std::string key_of_event(std::uint64_t number);
std::string key_of_taken(std::uint32_t day, const MessageId& id);
MessageId id_of_key(std::string_view key);  // its first 16 octets

// Writes the checksum into a value whose header is still blank, and kPlainVersion unless a version is there.
void seal_record(Column column, std::string_view key, char* value, std::size_t size);
// What is behind the header, when version and checksum are right.
Result<std::string_view> open_record(Column column, std::string_view key, std::string_view value);

void put_location(char* to, const Location& location);
Result<Location> take_location(std::string_view& body);

// The fields alone, appended.
void encode_message(const Message& message, std::string& to);
void encode_task(const Task& task, std::string& to);
void encode_event(const Event& event, std::string& to);

Result<Message> decode_message(const MessageId& id, std::string_view fields);
Result<Task> decode_task(const TaskKey& key, std::string_view fields);
// The message of the event has what reports need: not the header that was prepended, nor the variables.
Result<Event> decode_event(std::string_view fields);

}  // namespace postfleet::spool
