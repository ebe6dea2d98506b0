// The log stays short, whatever stays in it for long.
#include <algorithm>

#include "postfleet/support/await.hpp"
#include "spool_fixture.hpp"

namespace postfleet::spool {

using namespace postfleet::support;
using namespace postfleet::spool::test;

namespace {

std::uintmax_t octets_on_disk(TestSpool& test) {
    std::uintmax_t octets = 0;
    for (auto& entry : std::filesystem::directory_iterator(test.path() + "/log")) octets += entry.file_size();
    return octets;
}

// Accepts and delivers `count` messages of 10 kB, leaving one in `stays` where it is.
void pass_through(TestSpool& test, std::uint64_t first, std::uint64_t count, std::uint64_t stays) {
    auto& executor = test.caller->executor();
    std::uint64_t done = 0;
    for (auto n = first; n < first + count; n++) {
        test.spool->commit(sample_acceptance(n, 10'000), {&executor, [&](Status status) {
                                                              REQUIRE(status);
                                                              done++;
                                                          }});
        if (stays == 0 || n % stays != 0) test.spool->commit(sample_outcome(n), {&executor, [](Status) {}});
        if (n % 16 == 0) REQUIRE(executor.run_until([&] { return done == n - first + 1; }));
    }
    REQUIRE(executor.run_until([&] { return done == count; }));
}

}  // namespace

TEST_CASE("segments whose messages are all delivered are used again") {
    TestSpool test;
    test.open();
    pass_through(test, 0, 3000, 0);  // 30 MB through 256 KiB segments, checkpoints each 1 MiB
    REQUIRE(test.comes_true([&] { return test.metric("postfleet_spool_log_octets") < 3e6; }));
    CHECK(octets_on_disk(test) < 8 << 20);
}

TEST_CASE("a segment that was prepared in vain does not take the name of a spare at the next start") {
    TestSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    const std::filesystem::path log = test.path() + "/log";
    auto prepared = [&] {
        std::vector<std::filesystem::path> files;
        for (auto& entry : std::filesystem::directory_iterator(log)) files.push_back(entry.path());
        return files.size() < 2 ? std::filesystem::path() : *std::ranges::max_element(files);
    };
    REQUIRE(eventually([&] { return !prepared().empty(); }));
    test.close();
    std::filesystem::copy_file(prepared(), log / "spare-0000000000000001");
    test.open();
    auto files = std::filesystem::directory_iterator(log);
    CHECK(std::distance(begin(files), end(files)) == 3);  // none was overwritten
    pass_through(test, 10, 1000, 0);
    CHECK(test.spool->statistics().latches == 0);
    CHECK(test.caller->load({sample_id(1), 0}));
}

TEST_CASE("the few that stay do not keep the space of the many that went") {
    TestSpool test;
    test.open();
    pass_through(test, 0, 3000, 50);
    REQUIRE(test.comes_true([&] { return test.metric("postfleet_spool_log_octets") < 6e6; }));
    CHECK(test.metric("postfleet_spool_moved_octets_total") > 0);
    for (std::uint64_t n = 0; n < 3000; n += 50) {
        auto loaded = test.caller->load({sample_id(n), 0});
        REQUIRE(loaded);
        CHECK(*loaded->first_chunk == *sample_content(n, 10'000));
    }
    SECTION("and are there after a restart, wherever they were moved to") {
        test.open();
        CHECK(test.caller->scan().size() == 60);
        for (std::uint64_t n = 0; n < 3000; n += 50) CHECK(test.caller->load({sample_id(n), 0}));
    }
    SECTION("and go when they are delivered") {
        for (std::uint64_t n = 0; n < 3000; n += 50) REQUIRE(test.caller->commit(sample_outcome(n)));
        pass_through(test, 10'000, 1500, 0);
        REQUIRE(test.comes_true([&] { return test.metric("postfleet_spool_log_octets") < 3e6; }));
    }
}

TEST_CASE("chunks that stay are moved like messages") {
    TestSpool test;
    test.open();
    auto message = sample_message(7);
    message->content_chunks = 2;
    REQUIRE(test.caller->append(message->id, 0, sample_content(70, 20'000)));
    SpoolBatch batch;
    batch.put_messages.push_back({message, sample_content(71, 20'000)});
    batch.put_tasks.push_back(sample_task(7));
    REQUIRE(test.caller->commit(std::move(batch)));
    pass_through(test, 100, 2000, 0);
    REQUIRE(test.comes_true([&] { return test.metric("postfleet_spool_moved_octets_total") >= 40'000; }));
    CHECK(**test.caller->read_chunk(message->id, 0) == *sample_content(70, 20'000));
    CHECK(**test.caller->read_chunk(message->id, 1) == *sample_content(71, 20'000));
}

TEST_CASE("events that every reader has passed take no space for long") {
    TestSpool test;
    test.options.event_tail = 1 << 16;
    test.open();
    REQUIRE(test.spool->open_cursor("file"));
    for (std::uint64_t round = 0; round < 10; round++) {
        pass_through(test, round * 1000, 300, 0);
        REQUIRE(test.spool->advance("file", test.spool->last_number()));
    }
    REQUIRE(test.comes_true([&] { return test.metric("postfleet_spool_log_octets") < 3e6; }));
    CHECK(test.spool->read(0, 10'000)->size() < 6000);
    CHECK(test.spool->last_number() == 6000);
}

TEST_CASE("a batch larger than a segment is kept, too") {
    TestSpool test;
    test.open();
    auto big = sample_acceptance(1, 700'000);
    REQUIRE(test.caller->commit(sample_acceptance(0)));
    REQUIRE(test.caller->commit(std::move(big)));
    REQUIRE(test.caller->commit(sample_acceptance(2)));
    test.open();
    CHECK(test.caller->scan().size() == 3);
    CHECK(test.caller->load({sample_id(1), 0})->first_chunk->size() == 700'000);
}

}  // namespace postfleet::spool
