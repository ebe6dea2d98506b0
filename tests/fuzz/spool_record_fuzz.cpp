// Whatever octets a disk gives back, reading them as a part of the spool never does more than say no.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "log_format.hpp"
#include "records.hpp"

namespace {

using namespace postfleet;
using namespace postfleet::spool;

void read_as_fields(std::string_view octets) {
    (void)decode_message({}, octets).has_value();
    (void)decode_task({}, octets).has_value();
    // What was decoded can be encoded, and is then the same again.
    if (auto event = decode_event(octets)) {
        std::string again;
        encode_event(*event, again);
        require(decode_event(again).has_value());
    }
}

void read_as_operations(std::string_view octets) {
    OperationReader operations(octets);
    for (Operation operation; operations.next(operation);) {
        if (operation.remove) continue;
        auto body = open_record(operation.column, operation.key, operation.value);
        if (body) read_as_fields(*body);
        if (operation.value.size() > kRecordHeaderOctets) read_as_fields(operation.value.substr(kRecordHeaderOctets));
    }
}

}  // namespace

void fuzz_spool_record(std::span<const std::byte> input) {
    std::string_view octets(reinterpret_cast<const char*>(input.data()), input.size());
    read_as_fields(octets);
    read_as_operations(octets);
    BatchReader batches(octets);
    for (BatchReader::Batch batch; batches.next(batch);) read_as_operations(batch.operations);
    SegmentHeader header;
    (void)decode_segment_header(octets, header);
    (void)get_group_header(octets, 1, 4096);
}
