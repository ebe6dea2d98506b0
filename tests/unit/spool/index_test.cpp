#include "index.hpp"

#include <catch2/catch.hpp>

#include <array>

#include "log_format.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/support/spool_samples.hpp"
#include "postfleet/support/temporary_directory.hpp"

namespace postfleet::spool {

using namespace postfleet::support;

TEST_CASE("a day whose ids are forgotten leaves nothing in the index's files") {
    support::TemporaryDirectory directory;
    const auto open = [&] {
        auto opened =
            Index::open({.directory = directory.file("index"), .memory = 1 << 20, .cache = 1 << 20, .create = true});
        REQUIRE(opened);
        return *std::move(opened);
    };
    auto index = open();
    std::uint64_t group = 0;
    const auto take = [&](std::uint32_t day, std::uint64_t count) {
        BatchBuilder builder;
        for (std::uint64_t n = 0; n < count; n++) builder.put_taken(day, sample_id(n));
        builder.finish();
        const std::string_view operations = builder.operations();
        group++;
        REQUIRE(
            index->apply({&operations, 1}, {.number = 1, .first_group = 1, .last_group = group, .end = 4096}, nullptr));
        index->write_out();
        REQUIRE(eventually([&] { return *index->persisted_group() == group; }));
    };
    const auto is_there = [&](std::uint32_t day) {
        return index->get(Column::Taken, key_of_taken(day, sample_id(7)))->has_value();
    };
    for (std::uint32_t day = 100; day < 110; day++) take(day, 2000);
    REQUIRE(is_there(100));
    index->forget_taken(109);
    // Four files of the lowest level make a compaction; the ones that are full of what is forgotten are left out of it.
    for (int i = 0; i < 8; i++) take(110, 2000);
    CHECK(eventually([&] { return !is_there(100) && !is_there(108); }));
    CHECK(is_there(109));
    CHECK(is_there(110));
    CHECK(index->position().segment.last_group == group);
}

TEST_CASE("what came and went in order leaves no files behind") {
    support::TemporaryDirectory directory;
    auto opened =
        Index::open({.directory = directory.file("index"), .memory = 1 << 20, .cache = 1 << 20, .create = true});
    REQUIRE(opened);
    Index& index = **opened;
    std::uint64_t group = 0;
    // Chunks of messages whose ids grow: put, removed, and both in one file.
    const auto pass = [&](std::uint64_t first, bool stays) {
        BatchBuilder builder;
        for (std::uint64_t n = first; n < first + 100; n++) builder.put_chunk(sample_id(n), 0);
        for (std::size_t n = 0; n < builder.contents(); n++) builder.place_content(n, {.segment = 1, .size = 1});
        if (!stays) {
            for (std::uint64_t n = first; n < first + 100; n++) {
                builder.remove(Column::Chunk, key_of(sample_id(n), 0));
            }
        }
        builder.finish();
        const std::string_view operations = builder.operations();
        group++;
        REQUIRE(
            index.apply({&operations, 1}, {.number = 1, .first_group = 1, .last_group = group, .end = 4096}, nullptr));
        index.write_out();
        REQUIRE(eventually([&] { return *index.persisted_group() == group; }));
    };
    pass(0, true);
    for (std::uint64_t n = 1; n <= 40; n++) pass(n * 1000, false);
    pass(1'000'000, true);
    CHECK(index.files() > 20);
    index.drop_removals();
    CHECK(eventually([&] { return index.files() < 12; }));
    CHECK(index.get(Column::Chunk, key_of(sample_id(7), 0))->has_value());
    CHECK(index.get(Column::Chunk, key_of(sample_id(1'000'007), 0))->has_value());
    CHECK_FALSE(index.get(Column::Chunk, key_of(sample_id(20'007), 0))->has_value());
}

}  // namespace postfleet::spool
