// The octets of the log: segments, groups, batches, operations (docs/SPOOL_FORMAT.md, "The log").
//
//   segment  := header (one block)  group*
//   group    := header (64)  batch*  content*  zeros to the end of the block
//   batch    := size (4)  checksum (4)  operation*            what one commit() keeps: all of it or nothing
//   operation:= column and verb (1)  key size (1)  [value size (4)]  key  [value]
//
// A group is written and synced in one go and starts on a block of its own, so no block that holds confirmed
// octets is ever written again. Its header names segment, offset and group number: what a segment held when
// it had another number never passes for a group.
//
// Threads: pure functions and value types. Errors: nullopt or false for octets that are not what they
// should be; nothing here trusts a length before it is checked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "records.hpp"

namespace postfleet::spool {

inline constexpr std::size_t kBlockOctets = 4096;
inline constexpr std::size_t kGroupHeaderOctets = 64;
inline constexpr std::size_t kBatchHeaderOctets = 8;
inline constexpr std::uint32_t kLogVersion = 1;

using SpoolId = std::array<std::uint8_t, 16>;

inline std::uint64_t round_up_to_block(std::uint64_t octets) {
    return (octets + kBlockOctets - 1) / kBlockOctets * kBlockOctets;
}

struct SegmentHeader {
    SpoolId spool_id{};
    std::uint64_t number = 0;
    std::uint64_t first_group = 0;   // number of the first group in it
    std::uint64_t previous = 0;      // the segment before it; 0: none
    std::uint64_t previous_end = 0;  // what lies beyond in that one was never confirmed
    friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

std::string encode_segment_header(const SegmentHeader& header);  // one block
enum class HeaderCheck { Ok, Foreign, Newer };
HeaderCheck decode_segment_header(std::string_view block, SegmentHeader& header);

struct GroupHeader {
    std::uint64_t segment = 0;
    std::uint64_t offset = 0;
    std::uint64_t number = 0;
    std::uint64_t content_octets = 0;
    std::uint32_t batches_octets = 0;
    std::uint32_t batch_count = 0;
    std::uint32_t unconfirmed = 0;  // groups just before it that were on their way to the disk when it was written
    std::uint64_t last_confirmed() const { return number - 1 - unconfirmed; }
    std::uint64_t total_octets() const {
        return round_up_to_block(kGroupHeaderOctets + batches_octets + content_octets);
    }
    friend bool operator==(const GroupHeader&, const GroupHeader&) = default;
};

void put_group_header(char* to, const GroupHeader& header);
// nullopt unless it is the header of a group at this place.
std::optional<GroupHeader> get_group_header(std::string_view octets, std::uint64_t segment, std::uint64_t offset);

struct Operation {
    Column column = Column::Task;
    bool remove = false;
    std::string_view key;
    std::string_view value;
};

// Reads the operations of one batch, whose checksum was right.
class OperationReader {
public:
    explicit OperationReader(std::string_view operations) : rest_(operations) {}
    bool next(Operation& operation);
    bool is_bad() const { return bad_; }  // when next() said false

private:
    std::string_view rest_;
    bool bad_ = false;
};

// Reads the batches of one group. A damaged one is reported, and passed over where its size can be believed.
class BatchReader {
public:
    explicit BatchReader(std::string_view batches) : rest_(batches) {}
    struct Batch {
        std::string_view octets;      // header and operations
        std::string_view operations;  // empty when damaged
        bool damaged = false;
    };
    bool next(Batch& batch);

private:
    std::string_view rest_;
};

// Builds one batch. The places of content in the log, and the numbers of events, are only known when the
// group is written: then place_content(), number_event() and finish().
class BatchBuilder {
public:
    BatchBuilder() : octets_(kBatchHeaderOctets, '\0') {}

    void put_task(const Task& task);
    void put_message(const Message& message);  // content: place_content(…) with what it returns
    void put_chunk(const MessageId& id, std::uint32_t chunk);
    // Content with a new place.
    void put_moved(Column column, std::string_view key, std::uint8_t version, std::string_view fields);
    void put_event(const Event& event);
    // The last operation of its batch: an older Postfleet does not know the column, and reads no further.
    void put_taken(std::uint32_t day, const MessageId& id);
    void put_small(Column column, std::string_view key, std::string_view body);
    void put_raw(Column column, std::string_view key, std::string_view value);  // a record as it was found
    void remove(Column column, std::string_view key);

    std::size_t contents() const { return content_at_.size(); }
    std::size_t events() const { return event_at_.size(); }
    bool is_empty() const { return octets_.size() == kBatchHeaderOctets; }
    std::size_t size() const { return octets_.size(); }
    void reserve(std::size_t octets) { octets_.reserve(octets); }

    // For the n-th message or chunk that was put, and the n-th event.
    void place_content(std::size_t n, const Location& location);
    void number_event(std::size_t n, std::uint64_t number);
    // After that: the whole batch, header and all.
    std::string_view finish();
    std::string_view operations() const { return std::string_view(octets_).substr(kBatchHeaderOctets); }

private:
    struct Open {
        std::size_t at;
    };
    Open begin_put(Column column, std::string_view key);
    void set_version(std::uint8_t version);
    void end_put(Open open);
    void seal(std::size_t at);

    std::string octets_;
    std::vector<std::uint32_t> content_at_;  // where their operations begin
    std::vector<std::uint32_t> event_at_;
};

}  // namespace postfleet::spool
