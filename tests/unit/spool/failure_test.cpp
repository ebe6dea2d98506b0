// What the spool does when the disk fails under it, or gives back other octets than it was given.
#include <algorithm>
#include <fstream>

#include <rocksdb/db.h>

#include "postfleet/support/await.hpp"
#include "spool_fixture.hpp"

namespace postfleet::spool {

using namespace postfleet::support;
using namespace postfleet::spool::test;

namespace {

bool has_task(TestSpool& test, std::uint64_t n) {
    auto tasks = test.caller->scan();
    return std::ranges::any_of(tasks, [&](auto& task) { return task.key.message == sample_id(n); });
}

}  // namespace

TEST_CASE("after a failed sync nothing is taken until a fresh segment was synced, then it goes on by itself") {
    TestSpool test;
    test.open();
    std::vector<SpoolCondition> seen;
    test.spool->on_state_change(test.caller->executor(), [&](SpoolState state) { seen.push_back(state.condition); });
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.disk.failing_syncs = 3;  // the commit, and two attempts to recover
    auto refused = test.caller->commit(sample_acceptance(2));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::Unavailable);
    CHECK(test.spool->state().condition == SpoolCondition::Latched);
    CHECK(test.spool->state().reason.find("cannot sync") != std::string::npos);
    CHECK(test.caller->commit(sample_outcome(1)).error().kind == ErrorKind::Unavailable);
    CHECK(test.caller->append(sample_id(5), 0, sample_content(5)).error().kind == ErrorKind::Unavailable);
    CHECK(test.caller->load({sample_id(1), 0}));  // what is confirmed can be read all the time
    REQUIRE(test.reaches(SpoolCondition::Ready));
    CHECK(test.caller->commit(sample_acceptance(3)));
    CHECK(test.caller->commit(sample_outcome(1)));
    CHECK(test.spool->statistics().latches == 1);
    CHECK(test.caller->load({sample_id(2), 0}).error().kind == ErrorKind::NotFound);
    CHECK(seen == std::vector{SpoolCondition::Latched, SpoolCondition::Ready});
}

TEST_CASE("a batch that was refused after a failed sync does not come back, though its octets are on the disk") {
    TestSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.disk.failing_syncs = 2;
    REQUIRE_FALSE(test.caller->commit(sample_acceptance(2)));
    REQUIRE(test.reaches(SpoolCondition::Ready));
    SECTION("at the next start") {}
    SECTION("at the next start, with mail that came after") { REQUIRE(test.caller->commit(sample_acceptance(3))); }
    SECTION("after two starts") {
        test.open();
        REQUIRE(test.caller->commit(sample_acceptance(4)));
    }
    test.open();
    CHECK(has_task(test, 1));
    CHECK_FALSE(has_task(test, 2));
}

TEST_CASE("an id is not taken by a batch that failed") {
    TestSpool test;
    test.open();
    const auto offer = [&](std::uint64_t n) {
        auto batch = sample_acceptance(n);
        batch.taken_as = sample_id(n);
        return test.caller->commit(std::move(batch));
    };
    REQUIRE(offer(1));
    test.disk.failing_syncs = 1;
    CHECK(offer(2).error().kind == ErrorKind::Unavailable);
    REQUIRE(test.reaches(SpoolCondition::Ready));
    CHECK(offer(2));
    CHECK(offer(2).error().kind == ErrorKind::AlreadyExists);
    CHECK(offer(1).error().kind == ErrorKind::AlreadyExists);
}

TEST_CASE("a failed write latches, too, and what had been queued behind it fails with it") {
    TestSpool test;
    test.open();
    auto& executor = test.caller->executor();
    std::vector<Status> results;
    test.disk.hold();
    auto commit = [&](std::uint64_t n) {
        test.spool->commit(sample_acceptance(n), {&executor, [&](Status status) { results.push_back(status); }});
    };
    commit(0);
    REQUIRE(eventually([&] { return test.disk.waiting == 1; }));
    for (std::uint64_t n = 1; n < 10; n++) commit(n);
    test.disk.failing_writes = 1;
    test.disk.failed_writes_arrive = true;
    test.disk.release();
    REQUIRE(executor.run_until([&] { return results.size() == 10; }));
    auto confirmed = std::ranges::count_if(results, [](auto& status) { return status.has_value(); });
    CHECK(confirmed == 1);
    REQUIRE(test.reaches(SpoolCondition::Ready));
    test.open();
    CHECK(static_cast<std::ptrdiff_t>(test.caller->scan().size()) == confirmed);
}

TEST_CASE("attempts to recover leave no files behind") {
    TestSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    auto files = [&] {
        std::filesystem::directory_iterator all(test.path() + "/log");
        return std::distance(begin(all), end(all));
    };
    test.disk.failing_syncs = 4;
    REQUIRE_FALSE(test.caller->commit(sample_acceptance(2)));
    REQUIRE(test.reaches(SpoolCondition::Ready));
    CHECK(files() <= 3);  // the failed one, the current one, the prepared one
}

TEST_CASE("a disk that is full when written to latches, and recovers when there is room") {
    TestSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.disk.full_writes = 3;
    CHECK(test.caller->commit(sample_acceptance(2)).error().kind == ErrorKind::Unavailable);
    CHECK(test.spool->state().reason.find("No space") != std::string::npos);
    REQUIRE(test.reaches(SpoolCondition::Ready));
    CHECK(test.caller->commit(sample_acceptance(2)));
}

TEST_CASE("when the index fails, what was confirmed is applied to it again from the log") {
    TestSpool test;
    test.options.checkpoint_octets = 256 << 10;  // so that it is written out soon
    test.open();
    test.disk.failing_index_writes = 1;
    std::uint64_t n = 0;
    std::vector<std::uint64_t> confirmed;
    while (test.spool->statistics().latches == 0 && n < 3000) {
        if (test.caller->commit(sample_acceptance(n))) confirmed.push_back(n);
        n++;
    }
    REQUIRE(test.spool->statistics().latches == 1);
    REQUIRE(test.reaches(SpoolCondition::Ready));
    REQUIRE(test.caller->commit(sample_acceptance(n)));
    confirmed.push_back(n);
    for (auto id : confirmed) CHECK(test.caller->load({sample_id(id), 0}));
    CHECK(test.caller->scan().size() == confirmed.size());
    test.open();
    CHECK(test.caller->scan().size() == confirmed.size());
}

TEST_CASE("content that does not check out is never returned, is set aside once, and hurts nothing else") {
    TestSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    REQUIRE(test.caller->commit(sample_acceptance(2)));
    REQUIRE(test.caller->commit(sample_acceptance(3)));
    test.close();
    REQUIRE(test.damage("Subject: 2\r\n"));
    test.open();
    CHECK(test.caller->scan().size() == 3);
    CHECK(test.caller->load({sample_id(2), 0}).error().kind == ErrorKind::Corruption);
    CHECK(test.caller->load({sample_id(2), 0}).error().kind == ErrorKind::Corruption);
    CHECK(test.caller->load({sample_id(1), 0}));
    CHECK(test.caller->load({sample_id(3), 0}));
    CHECK(test.spool->statistics().quarantined == 1);
}

TEST_CASE("a batch of the log that does not check out is set aside, and those before and behind it are applied") {
    TestSpool test;
    test.open();
    for (std::uint64_t n = 1; n <= 5; n++) REQUIRE(test.caller->commit(sample_acceptance(n)));
    test.close();
    REQUIRE(test.damage("bounce-3@news.example"));
    test.open();
    auto tasks = test.caller->scan();
    REQUIRE(tasks.size() == 4);
    CHECK_FALSE(has_task(test, 3));
    CHECK(test.spool->statistics().quarantined == 1);
    CHECK(test.caller->load({sample_id(4), 0}));
}

TEST_CASE("a group whose header was hit is missed, and the groups behind it are found") {
    TestSpool test;
    test.open();
    for (std::uint64_t n = 1; n <= 5; n++) REQUIRE(test.caller->commit(sample_acceptance(n)));
    test.close();
    // Of the second group, the number of its segment.
    bool done = false;
    for (auto& entry : std::filesystem::directory_iterator(test.path() + "/log")) {
        auto octets = TemporaryDirectory::read(entry.path());
        auto second = octets.find("PFGR", octets.find("PFGR") + 1);
        if (second == std::string::npos || done) continue;
        octets[second + 9] ^= 1;
        std::ofstream(entry.path(), std::ios::binary).write(octets.data(), static_cast<std::streamsize>(octets.size()));
        done = true;
    }
    REQUIRE(done);
    test.open();
    CHECK(test.caller->scan().size() == 4);
}

TEST_CASE("a segment whose own header was hit is still read") {
    TestSpool test;
    test.open();
    for (std::uint64_t n = 1; n <= 3; n++) REQUIRE(test.caller->commit(sample_acceptance(n)));
    test.close();
    REQUIRE(test.damage("PFSPLOG\n", 40));
    test.open();
    CHECK(test.caller->scan().size() == 3);
    CHECK(test.caller->load({sample_id(2), 0}));
    CHECK(test.caller->commit(sample_acceptance(4)));
    test.open();
    CHECK(test.caller->scan().size() == 4);
}

TEST_CASE("an index whose making was cut short at the first start is made anew from the log [F06]") {
    TestSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.close();
    const auto index = test.path() + "/index";
    std::filesystem::remove_all(index);
    rocksdb::Options options;
    options.create_if_missing = true;  // with the first of its column families, and without the others
    rocksdb::DB* made = nullptr;
    REQUIRE(rocksdb::DB::Open(options, index, &made).ok());
    delete made;
    test.open();
    CHECK(has_task(test, 1));
    CHECK(test.caller->commit(sample_acceptance(2)));
}

TEST_CASE("a flipped bit in a file of the index costs the records that it hit, and no others") {
    TestSpool test;
    test.options.index_memory = 64 << 10;  // written out all the time
    test.open();
    constexpr std::uint64_t kTasks = 3000;
    for (std::uint64_t n = 0; n < kTasks; n += 50) {
        SpoolBatch batch;
        for (auto i = n; i < n + 50; i++) batch.put_tasks.push_back(sample_task(i));
        REQUIRE(test.caller->commit(std::move(batch)));
    }
    test.close();
    std::size_t hit = 0;
    for (auto& entry : std::filesystem::directory_iterator(test.path() + "/index")) {
        if (entry.path().extension() != ".sst" || hit > 0) continue;
        auto octets = TemporaryDirectory::read(entry.path());
        auto at = octets.find("rfc822;b@example.org", octets.size() / 3);
        if (at == std::string::npos) continue;
        octets[at] ^= 1;
        std::ofstream(entry.path(), std::ios::binary).write(octets.data(), static_cast<std::streamsize>(octets.size()));
        hit++;
    }
    REQUIRE(hit == 1);
    test.open();
    CHECK(test.caller->scan().size() == kTasks - 1);
    CHECK(test.spool->statistics().quarantined == 1);
    CHECK(test.spool->state().condition == SpoolCondition::Ready);
    CHECK(test.caller->commit(sample_acceptance(kTasks)));
}

}  // namespace postfleet::spool
