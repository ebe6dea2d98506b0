// A slow disk: the next group is written while one is on its way to the disk.
#include <algorithm>
#include <set>
#include <vector>

#include "postfleet/support/await.hpp"
#include "spool_fixture.hpp"

namespace postfleet::spool {

using namespace postfleet::support;
using namespace postfleet::spool::test;

namespace {

bool has_no_gap(TestSpool& test) { return test.metric("postfleet_spool_missing_groups_total") == 0; }

// Any disk is slow to it.
class SlowSpool : public TestSpool {
public:
    SlowSpool() { options.slow_write = Duration{}; }
    ~SlowSpool() { disk.release(); }

    struct Commit {
        std::uint64_t n = 0;
        std::optional<Status> status;
        bool is_good() const { return status && *status; }
    };
    // Begins a commit, and waits until so many groups are held at their sync.
    void begin(SpoolBatch batch, std::uint64_t n, int held) {
        auto& commit = commits.emplace_back(std::make_unique<Commit>(Commit{n, std::nullopt}));
        spool->commit(std::move(batch),
                      {&caller->executor(), [&commit = *commit](Status status) { commit.status = std::move(status); }});
        REQUIRE(eventually([&] { return disk.waiting == held; }));
    }
    void begin(std::uint64_t n, int held) { begin(sample_acceptance(n), n, held); }
    bool all_are_answered() {
        disk.release();
        return caller->executor().run_until(
            [&] { return std::ranges::all_of(commits, [](auto& commit) { return commit->status.has_value(); }); },
            std::chrono::seconds(60));
    }
    bool has_task(std::uint64_t n) {
        auto tasks = caller->scan();
        return std::ranges::any_of(tasks, [&](auto& task) { return task.key.message == sample_id(n); });
    }
    bool has_whole_message(std::uint64_t n) {
        auto loaded = caller->load({sample_id(n), 0});
        return loaded && *loaded->message == *sample_message(n) && *loaded->first_chunk == *sample_content(n);
    }
    std::vector<std::uint64_t> event_numbers() {
        std::vector<std::uint64_t> numbers;
        auto events = spool->read(0, 100);
        REQUIRE(events);
        for (auto& event : *events) numbers.push_back(event.number);
        return numbers;
    }
    std::vector<std::unique_ptr<Commit>> commits;
};

}  // namespace

TEST_CASE("while a group is on its way to a slow disk the next one is written, and both are confirmed") {
    SlowSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.disk.hold();
    test.begin(2, 1);
    test.begin(3, 2);
    CHECK(test.caller->load({sample_id(2), 0}).error().kind == ErrorKind::NotFound);
    REQUIRE(test.all_are_answered());
    for (std::uint64_t n : {2, 3}) CHECK(test.has_whole_message(n));
    CHECK(test.event_numbers() == std::vector<std::uint64_t>{1, 2, 3});
    test.open();
    for (std::uint64_t n : {1, 2, 3}) CHECK(test.has_whole_message(n));
    CHECK(test.event_numbers() == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE("no third group is begun: what comes meanwhile goes together") {
    SlowSpool test;
    test.open();
    auto before = test.spool->statistics().synced_writes;
    test.disk.hold();
    test.begin(1, 1);
    test.begin(2, 2);
    for (std::uint64_t n = 3; n < 9; n++) test.begin(n, 2);
    REQUIRE(test.all_are_answered());
    CHECK(test.spool->statistics().synced_writes - before == 3);
}

TEST_CASE("after a power loss a group is there only if all before it are, and what was confirmed is [F06]") {
    SlowSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.disk.hold();
    test.begin(2, 1);
    test.begin(3, 2);
    int without_the_first = 0, with_one = 0, with_both = 0;
    for (std::uint64_t seed = 1; seed <= 60; seed++) {
        auto picture = test.directory.path() / ("after-" + std::to_string(seed));
        test.disk.photograph(test.path(), picture, seed);
        TestSpool after;
        auto opened = after.try_open(picture.string());
        INFO("photograph " << seed);
        if (!opened) FAIL(opened.error().text);
        after.spool = *std::move(opened);
        after.caller.emplace(*after.spool);
        auto tasks = after.caller->scan();
        auto has = [&](std::uint64_t n) {
            return std::ranges::any_of(tasks, [&](auto& task) { return task.key.message == sample_id(n); });
        };
        REQUIRE(has(1));
        REQUIRE((!has(3) || has(2)));
        for (std::uint64_t n : {2, 3}) REQUIRE((!has(n) || after.caller->load({sample_id(n), 0})));
        CHECK(has_no_gap(after));
        (has(3) ? with_both : has(2) ? with_one : without_the_first)++;
        REQUIRE(after.caller->commit(sample_acceptance(4)));
        after.close();
        // Nor does it come back later, from behind the new end of the log.
        auto again = after.try_open(picture.string());
        REQUIRE(again);
        after.spool = *std::move(again);
        after.caller.emplace(*after.spool);
        CHECK(after.caller->scan().size() == tasks.size() + 1);
        CHECK(has_no_gap(after));
        after.close();
        std::filesystem::remove_all(picture);
    }
    CHECK(without_the_first > 0);
    CHECK(with_one > 0);
    CHECK(with_both > 0);
    REQUIRE(test.all_are_answered());
}

TEST_CASE("what was written behind a group that failed fails with it, and does not come back") {
    SlowSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.disk.hold();
    test.begin(2, 1);
    test.begin(3, 2);
    test.disk.failing_syncs = 1;  // of either
    REQUIRE(test.all_are_answered());
    CHECK_FALSE(test.commits[1]->is_good());
    CHECK(test.spool->statistics().latches == 1);
    REQUIRE(test.reaches(SpoolCondition::Ready));
    REQUIRE(test.caller->commit(sample_acceptance(4)));
    const bool second = test.commits[0]->is_good();
    auto check = [&] {
        CHECK(test.has_whole_message(1));
        CHECK(test.has_task(2) == second);
        CHECK_FALSE(test.has_task(3));
        CHECK(test.has_whole_message(4));
        CHECK(test.event_numbers().size() == (second ? 3 : 2));
        CHECK(test.event_numbers().back() == (second ? 3 : 2));
    };
    check();
    test.open();
    check();
    CHECK(has_no_gap(test));
}

TEST_CASE("what needs a new segment while a group is under way waits for it, and fails with it") {
    SlowSpool test;
    test.options.segment_octets = 64 << 10;
    test.open();
    test.disk.hold();
    test.begin(sample_acceptance(1, 40'000), 1, 1);
    test.begin(sample_acceptance(2, 40'000), 2, 1);
    bool fails = false;
    SECTION("the one before is confirmed") {}
    SECTION("the one before fails") { fails = true; }
    if (fails) test.disk.failing_syncs = 1;
    REQUIRE(test.all_are_answered());
    for (auto& commit : test.commits) CHECK(commit->is_good() != fails);
    REQUIRE(test.reaches(SpoolCondition::Ready));
    REQUIRE(test.caller->commit(sample_acceptance(3)));
    test.open();
    for (std::uint64_t n : {1, 2}) CHECK(test.has_task(n) != fails);
    CHECK(test.has_task(3));
    CHECK(has_no_gap(test));
}

TEST_CASE("an id that is offered again while its batch is on its way to the disk is taken once") {
    SlowSpool test;
    test.open();
    const auto offer = [&](std::uint64_t n) {
        auto batch = sample_acceptance(n);
        batch.taken_as = sample_id(7);
        return batch;
    };
    test.disk.hold();
    test.begin(offer(1), 1, 1);
    test.begin(offer(2), 2, 1);  // it asks the index, so it is not written yet
    REQUIRE(test.all_are_answered());
    CHECK(test.commits[0]->is_good());
    REQUIRE_FALSE(test.commits[1]->is_good());
    CHECK(test.commits[1]->status->error().kind == ErrorKind::AlreadyExists);
    CHECK_FALSE(test.has_task(2));
}

TEST_CASE("groups overlap only within a segment, and segments are filled, sealed and released as ever") {
    SlowSpool test;
    test.options.segment_octets = 64 << 10;
    test.options.checkpoint_octets = 128 << 10;
    test.open();
    std::set<std::uint64_t> ended;
    Load load(
        *test.spool, test.caller->executor(), 0, [](auto) {}, [&](auto n) { ended.insert(n); });
    load.begin(20);
    REQUIRE(test.caller->executor().run_until([&] { return ended.size() >= 300; }, std::chrono::seconds(120)));
    load.stop();
    REQUIRE(test.caller->executor().run_until([&] { return load.in_flight() == 0; }, std::chrono::seconds(60)));
    const auto all = load.next();
    test.open();
    CHECK(test.caller->scan().size() == all - (all + 2) / 3);
    CHECK(has_no_gap(test));
}

TEST_CASE("when the index fails, what was confirmed and what was on its way behind it are there or refused") {
    SlowSpool test;
    test.options.index_memory = 1 << 20;
    test.open();
    test.disk.failing_index_writes = 1;
    std::set<std::uint64_t> accepted;
    Load load(
        *test.spool, test.caller->executor(), 0, [&](auto n) { accepted.insert(n); }, [](auto) {});
    load.begin(20);
    REQUIRE(test.caller->executor().run_until(
        [&] { return test.spool->statistics().latches > 0 || accepted.size() > 9000; }, std::chrono::seconds(120)));
    load.stop();
    REQUIRE(test.spool->statistics().latches > 0);
    REQUIRE(test.reaches(SpoolCondition::Ready));
    REQUIRE(test.caller->executor().run_until([&] { return load.in_flight() == 0; }, std::chrono::seconds(60)));
    auto check = [&] {
        auto tasks = test.caller->scan();
        for (auto n : accepted) {
            if (n % 3 == 0) continue;
            CHECK(std::ranges::any_of(tasks, [&](auto& task) { return task.key.message == sample_id(n); }));
        }
    };
    check();
    test.open();
    check();
    CHECK(has_no_gap(test));
}

}  // namespace postfleet::spool
