#include "log_format.hpp"

#include <catch2/catch.hpp>

#include <vector>

#include "postfleet/support/spool_samples.hpp"

namespace postfleet::spool {

using namespace postfleet::support;

namespace {

std::string sample_batch() {
    BatchBuilder builder;
    builder.put_message(*sample_message(1));
    builder.put_task(sample_task(1));
    builder.put_event(sample_event(1));
    builder.remove(Column::Chunk, key_of(sample_id(1), 0));
    builder.put_small(Column::Note, "paused", "yes");
    builder.place_content(0, {3, 4096, 2000, 77});
    builder.number_event(0, 12);
    return std::string(builder.finish());
}

std::vector<Operation> operations_of(std::string_view batches) {
    std::vector<Operation> all;
    BatchReader reader(batches);
    for (BatchReader::Batch batch; reader.next(batch);) {
        OperationReader operations(batch.operations);
        for (Operation operation; operations.next(operation);) all.push_back(operation);
        CHECK_FALSE(operations.is_bad());
    }
    return all;
}

}  // namespace

TEST_CASE("a batch gives back its operations in order, with places and numbers filled in") {
    auto octets = sample_batch();
    auto operations = operations_of(octets);
    REQUIRE(operations.size() == 5);
    CHECK(operations[0].column == Column::Message);
    auto body = open_record(Column::Message, operations[0].key, operations[0].value);
    REQUIRE(body);
    CHECK(*take_location(*body) == Location{3, 4096, 2000, 77});
    CHECK(*decode_message(sample_id(1), *body) == *sample_message(1));
    CHECK(operations[2].key == key_of_event(12));
    CHECK(open_record(Column::Outbox, operations[2].key, operations[2].value));
    CHECK(operations[3].remove);
    CHECK(operations[3].column == Column::Chunk);
}

TEST_CASE("any bit turned in a batch makes it damaged, and reading goes on behind it") {
    auto first = sample_batch();
    BatchBuilder builder;
    builder.remove(Column::Note, "second");
    std::string second(builder.finish());
    std::size_t read_behind = 0;
    for (std::size_t bit = 0; bit < first.size() * 8; bit++) {
        auto octets = first + second;
        octets[bit / 8] = static_cast<char>(octets[bit / 8] ^ (1 << (bit % 8)));
        BatchReader reader(octets);
        BatchReader::Batch batch;
        REQUIRE(reader.next(batch));
        REQUIRE(batch.damaged);
        REQUIRE(batch.operations.empty());
        while (reader.next(batch)) {
            if (!batch.damaged && batch.octets == second) read_behind++;
        }
    }
    // Only where the size itself was hit is the next batch out of reach.
    CHECK(read_behind >= (first.size() - 4) * 8);
}

TEST_CASE("a group's header is only good at its place in its segment") {
    GroupHeader header{
        .segment = 7, .offset = 8192, .number = 99, .content_octets = 5000, .batches_octets = 100, .batch_count = 2};
    std::string octets(kGroupHeaderOctets, '\0');
    put_group_header(octets.data(), header);
    CHECK(get_group_header(octets, 7, 8192) == header);
    CHECK_FALSE(get_group_header(octets, 6, 8192));
    CHECK_FALSE(get_group_header(octets, 7, 4096));
    for (std::size_t bit = 0; bit < octets.size() * 8; bit++) {
        auto damaged = octets;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
        CHECK_FALSE(get_group_header(damaged, 7, 8192));
    }
    CHECK(header.total_octets() % kBlockOctets == 0);
}

TEST_CASE("a segment's header comes back, and a damaged or newer one is told apart") {
    SegmentHeader header{.spool_id = {1, 2, 3}, .number = 5, .first_group = 40, .previous = 3, .previous_end = 81920};
    auto block = encode_segment_header(header);
    CHECK(block.size() == kBlockOctets);
    SegmentHeader read;
    REQUIRE(decode_segment_header(block, read) == HeaderCheck::Ok);
    CHECK(read == header);
    for (std::size_t bit = 0; bit < 64 * 8; bit++) {
        auto damaged = block;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
        CHECK(decode_segment_header(damaged, read) == HeaderCheck::Foreign);
    }
}

TEST_CASE("the column of taken ids ends a batch, so that an older Postfleet applies all that it knows") {
    BatchBuilder builder;
    builder.put_task(sample_task(1));
    builder.put_small(Column::Note, "paused", "yes");
    builder.put_taken(20'000, sample_id(1));
    const auto operations = operations_of(builder.finish());
    REQUIRE(operations.size() == 3);
    CHECK(operations[2].column == Column::Taken);
    CHECK(operations[2].key == key_of_taken(20'000, sample_id(1)));
    CHECK(open_record(Column::Taken, operations[2].key, operations[2].value));
    // As this one takes a column of later: what stands before it is read, what stands behind it is not.
    std::string later(builder.operations());
    const auto at = static_cast<std::size_t>(operations[2].key.data() - builder.operations().data()) - 6;
    later[at] = static_cast<char>(kLastColumn + 1);
    OperationReader reader(later);
    std::size_t read = 0;
    for (Operation operation; reader.next(operation);) ++read;
    CHECK(read == 2);
    CHECK(reader.is_bad());
}

TEST_CASE("a message that an older Postfleet would send unmerged has a version that it does not read") {
    for (std::uint64_t n : {0u, 1u}) {
        const std::uint8_t version = n == 1 ? kRecordVersion : kPlainVersion;
        BatchBuilder builder;
        builder.put_message(*sample_message(n));
        builder.put_moved(Column::Message, key_of(sample_id(n)), version, "");
        builder.place_content(0, {3, 4096, 2000, 77});
        builder.place_content(1, {4, 4096, 2000, 77});
        for (const Operation& operation : operations_of(builder.finish())) {
            CHECK(static_cast<std::uint8_t>(operation.value[0]) == version);
            CHECK(open_record(operation.column, operation.key, operation.value));
        }
    }
}

}  // namespace postfleet::spool
