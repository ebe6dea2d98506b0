#include "log_format.hpp"

#include <cstring>

#include "crc32c.hpp"
#include "octets.hpp"

namespace postfleet::spool {

namespace {

constexpr std::string_view kSegmentMagic = "PFSPLOG\n";
constexpr std::size_t kSegmentHeaderOctets = 64;   // the rest of its block is zero
constexpr std::uint32_t kGroupMagic = 0x52474650;  // "PFGR"
constexpr std::uint8_t kRemove = 0x80;
constexpr std::size_t kRemoveHeaderOctets = 2;
constexpr std::size_t kPutHeaderOctets = 6;

}  // namespace

// magic 8 · version 4 · checksum of what follows 4 · spool id 16 · number 8 · first group 8 · previous 8 ·
// previous end 8
std::string encode_segment_header(const SegmentHeader& header) {
    std::string block(kBlockOctets, '\0');
    auto* to = block.data();
    std::memcpy(to, kSegmentMagic.data(), kSegmentMagic.size());
    put_fixed32(to + 8, kLogVersion);
    std::memcpy(to + 16, header.spool_id.data(), header.spool_id.size());
    put_fixed64(to + 32, header.number);
    put_fixed64(to + 40, header.first_group);
    put_fixed64(to + 48, header.previous);
    put_fixed64(to + 56, header.previous_end);
    put_fixed32(to + 12, crc32c({to + 16, kSegmentHeaderOctets - 16}, crc32c({to, 12})));
    return block;
}

HeaderCheck decode_segment_header(std::string_view block, SegmentHeader& header) {
    if (block.size() < kSegmentHeaderOctets || !block.starts_with(kSegmentMagic)) return HeaderCheck::Foreign;
    const auto* from = block.data();
    if (get_fixed32(from + 12) != crc32c({from + 16, kSegmentHeaderOctets - 16}, crc32c({from, 12}))) {
        return HeaderCheck::Foreign;
    }
    if (get_fixed32(from + 8) > kLogVersion) return HeaderCheck::Newer;
    std::memcpy(header.spool_id.data(), from + 16, header.spool_id.size());
    header.number = get_fixed64(from + 32);
    header.first_group = get_fixed64(from + 40);
    header.previous = get_fixed64(from + 48);
    header.previous_end = get_fixed64(from + 56);
    return HeaderCheck::Ok;
}

// magic 4 · checksum of what follows 4 · segment 8 · offset 8 · number 8 · batches 4 · their count 4 ·
// content 8 · zero 16
void put_group_header(char* to, const GroupHeader& header) {
    std::memset(to, 0, kGroupHeaderOctets);
    put_fixed32(to, kGroupMagic);
    put_fixed64(to + 8, header.segment);
    put_fixed64(to + 16, header.offset);
    put_fixed64(to + 24, header.number);
    put_fixed32(to + 32, header.batches_octets);
    put_fixed32(to + 36, header.batch_count);
    put_fixed64(to + 40, header.content_octets);
    put_fixed32(to + 48, header.unconfirmed);
    put_fixed32(to + 4, crc32c({to + 8, kGroupHeaderOctets - 8}));
}

std::optional<GroupHeader> get_group_header(std::string_view octets, std::uint64_t segment, std::uint64_t offset) {
    if (octets.size() < kGroupHeaderOctets) return std::nullopt;
    const auto* from = octets.data();
    if (get_fixed32(from) != kGroupMagic) return std::nullopt;
    if (get_fixed32(from + 4) != crc32c({from + 8, kGroupHeaderOctets - 8})) return std::nullopt;
    GroupHeader header{.segment = get_fixed64(from + 8),
                       .offset = get_fixed64(from + 16),
                       .number = get_fixed64(from + 24),
                       .content_octets = get_fixed64(from + 40),
                       .batches_octets = get_fixed32(from + 32),
                       .batch_count = get_fixed32(from + 36),
                       .unconfirmed = get_fixed32(from + 48)};
    if (header.segment != segment || header.offset != offset) return std::nullopt;
    if (header.content_octets > std::uint64_t{1} << 40) return std::nullopt;
    if (header.unconfirmed >= header.number) return std::nullopt;
    return header;
}

bool OperationReader::next(Operation& operation) {
    if (rest_.empty() || bad_) return false;
    bad_ = true;  // until it is known to be right
    if (rest_.size() < kRemoveHeaderOctets) return false;
    auto first = static_cast<std::uint8_t>(rest_[0]);
    std::size_t key_size = static_cast<std::uint8_t>(rest_[1]);
    operation.remove = (first & kRemove) != 0;
    auto column = static_cast<std::uint8_t>(first & ~kRemove);
    if (column < 1 || column > kLastColumn) return false;
    operation.column = static_cast<Column>(column);
    std::size_t header = kRemoveHeaderOctets, value_size = 0;
    if (!operation.remove) {
        header = kPutHeaderOctets;
        if (rest_.size() < header) return false;
        value_size = get_fixed32(rest_.data() + 2);
    }
    if (key_size > rest_.size() - header || value_size > rest_.size() - header - key_size) return false;
    operation.key = rest_.substr(header, key_size);
    operation.value = rest_.substr(header + key_size, value_size);
    rest_.remove_prefix(header + key_size + value_size);
    bad_ = false;
    return true;
}

bool BatchReader::next(Batch& batch) {
    if (rest_.empty()) return false;
    batch = {rest_, {}, true};
    if (rest_.size() < kBatchHeaderOctets) {
        rest_ = {};
        return true;
    }
    std::size_t size = get_fixed32(rest_.data());
    if (size > rest_.size() - kBatchHeaderOctets) {
        rest_ = {};
        return true;
    }
    batch.octets = rest_.substr(0, kBatchHeaderOctets + size);
    batch.operations = batch.octets.substr(kBatchHeaderOctets);
    auto sum = crc32c(batch.operations, crc32c(batch.octets.substr(0, 4)));
    batch.damaged = get_fixed32(rest_.data() + 4) != sum;
    if (batch.damaged) batch.operations = {};
    rest_.remove_prefix(batch.octets.size());
    return true;
}

BatchBuilder::Open BatchBuilder::begin_put(Column column, std::string_view key) {
    require(key.size() <= 255);
    Open open{octets_.size()};
    char header[kPutHeaderOctets] = {static_cast<char>(column), static_cast<char>(key.size()), 0, 0, 0, 0};
    octets_.append(header, sizeof header);
    octets_.append(key);
    octets_.append(kRecordHeaderOctets, '\0');
    return open;
}

// Of the value that begin_put() has just begun.
void BatchBuilder::set_version(std::uint8_t version) {
    octets_[octets_.size() - kRecordHeaderOctets] = static_cast<char>(version);
}

void BatchBuilder::end_put(Open open) {
    auto key_size = static_cast<std::uint8_t>(octets_[open.at + 1]);
    auto value_size = octets_.size() - open.at - kPutHeaderOctets - key_size;
    require(value_size <= UINT32_MAX);
    put_fixed32(octets_.data() + open.at + 2, static_cast<std::uint32_t>(value_size));
}

void BatchBuilder::seal(std::size_t at) {
    auto* op = octets_.data() + at;
    std::size_t key_size = static_cast<std::uint8_t>(op[1]);
    auto* key = op + kPutHeaderOctets;
    seal_record(static_cast<Column>(op[0]), {key, key_size}, key + key_size, get_fixed32(op + 2));
}

void BatchBuilder::put_task(const Task& task) {
    auto open = begin_put(Column::Task, key_of(task.key));
    encode_task(task, octets_);
    end_put(open);
    seal(open.at);
}

void BatchBuilder::put_message(const Message& message) {
    auto open = begin_put(Column::Message, key_of(message.id));
    if (message.merge || message.verp) set_version(kRecordVersion);
    octets_.append(kLocationOctets, '\0');
    encode_message(message, octets_);
    end_put(open);
    content_at_.push_back(static_cast<std::uint32_t>(open.at));
}

void BatchBuilder::put_chunk(const MessageId& id, std::uint32_t chunk) {
    auto open = begin_put(Column::Chunk, key_of(id, chunk));
    octets_.append(kLocationOctets, '\0');
    end_put(open);
    content_at_.push_back(static_cast<std::uint32_t>(open.at));
}

void BatchBuilder::put_moved(Column column, std::string_view key, std::uint8_t version, std::string_view fields) {
    auto open = begin_put(column, key);
    set_version(version);
    octets_.append(kLocationOctets, '\0');
    octets_.append(fields);
    end_put(open);
    content_at_.push_back(static_cast<std::uint32_t>(open.at));
}

void BatchBuilder::put_event(const Event& event) {
    auto open = begin_put(Column::Outbox, std::string_view("\0\0\0\0\0\0\0\0", kEventKeyOctets));
    encode_event(event, octets_);
    end_put(open);
    event_at_.push_back(static_cast<std::uint32_t>(open.at));
}

void BatchBuilder::put_small(Column column, std::string_view key, std::string_view body) {
    auto open = begin_put(column, key);
    octets_.append(body);
    end_put(open);
    seal(open.at);
}

void BatchBuilder::put_taken(std::uint32_t day, const MessageId& id) {
    put_small(Column::Taken, key_of_taken(day, id), {});
}

void BatchBuilder::put_raw(Column column, std::string_view key, std::string_view value) {
    auto open = begin_put(column, key);
    octets_.resize(octets_.size() - kRecordHeaderOctets);
    octets_.append(value);
    end_put(open);
}

void BatchBuilder::remove(Column column, std::string_view key) {
    require(key.size() <= 255);
    octets_.push_back(static_cast<char>(static_cast<std::uint8_t>(column) | kRemove));
    octets_.push_back(static_cast<char>(key.size()));
    octets_.append(key);
}

void BatchBuilder::place_content(std::size_t n, const Location& location) {
    auto at = content_at_.at(n);
    auto key_size = static_cast<std::uint8_t>(octets_[at + 1]);
    put_location(octets_.data() + at + kPutHeaderOctets + key_size + kRecordHeaderOctets, location);
    seal(at);
}

void BatchBuilder::number_event(std::size_t n, std::uint64_t number) {
    auto at = event_at_.at(n);
    put_big_endian(octets_.data() + at + kPutHeaderOctets, number);
    seal(at);
}

std::string_view BatchBuilder::finish() {
    auto* header = octets_.data();
    put_fixed32(header, static_cast<std::uint32_t>(octets_.size() - kBatchHeaderOctets));
    put_fixed32(header + 4, crc32c(operations(), crc32c({header, 4})));
    return octets_;
}

}  // namespace postfleet::spool
