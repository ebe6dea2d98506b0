#include "postfleet/spool/rocks_spool.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "postfleet/support/await.hpp"
#include "spool_fixture.hpp"

namespace postfleet::spool {

using namespace postfleet::support;
using namespace postfleet::spool::test;

TEST_CASE("completions of one group reach each executor with one post") {
    TestSpool test;
    test.open();
    CountingExecutor first(0), second(1);
    std::size_t completed = 0;
    auto count = [&](Status status) {
        CHECK(status);
        completed++;
    };
    test.disk.hold();
    // One goes to the disk and is held there; the others gather behind it.
    test.spool->commit(sample_acceptance(0), {&first, count});
    REQUIRE(eventually([&] { return test.disk.waiting == 1; }));
    for (std::uint64_t n = 1; n <= 20; n++) {
        test.spool->commit(sample_acceptance(n), {n % 2 == 0 ? &first : &second, count});
    }
    test.disk.release();
    REQUIRE(first.run_until([&] { return completed >= 11; }));
    REQUIRE(second.run_until([&] { return completed == 21; }));
    CHECK(first.posted() == 2);
    CHECK(second.posted() == 1);
    CHECK(test.spool->statistics().synced_writes == 2);
}

TEST_CASE("more in flight than allowed is refused at once, outcomes are taken all the same") {
    TestSpool test;
    test.options.max_in_flight = 50'000;
    test.open();
    auto& executor = test.caller->executor();
    std::vector<Status> accepted, outcomes;
    test.disk.hold();
    for (std::uint64_t n = 0; n < 10; n++) {
        test.spool->commit(sample_acceptance(n, 10'000),
                           {&executor, [&](Status status) { accepted.push_back(status); }});
    }
    for (std::uint64_t n = 0; n < 100; n++) {
        test.spool->commit(sample_outcome(n), {&executor, [&](Status status) { outcomes.push_back(status); }});
    }
    executor.run_until_idle();
    REQUIRE_FALSE(accepted.empty());
    for (auto& status : accepted) CHECK(status.error().kind == ErrorKind::ResourceExhausted);
    test.disk.release();
    REQUIRE(executor.run_until([&] { return accepted.size() == 10 && outcomes.size() == 100; }));
    CHECK(std::ranges::count_if(accepted, [](auto& status) { return status.has_value(); }) == 4);
    CHECK(std::ranges::all_of(outcomes, [](auto& status) { return status.has_value(); }));
    CHECK(test.spool->statistics().octets_in_flight == 0);
}

TEST_CASE("outcomes that nobody waits for share a sync") {
    TestSpool test;
    test.options.outcome_delay = std::chrono::milliseconds(200);
    test.open();
    auto before = test.spool->statistics().synced_writes;
    std::size_t completed = 0;
    auto& executor = test.caller->executor();
    for (std::uint64_t n = 0; n < 100; n++) {
        test.spool->commit(sample_outcome(n), {&executor, [&](Status) { completed++; }});
    }
    REQUIRE(executor.run_until([&] { return completed == 100; }));
    CHECK(test.spool->statistics().synced_writes - before <= 2);
}

TEST_CASE("a hundred thousand tasks are found again, each once") {
    TestSpool test;
    test.options.segment_octets = 8 << 20;
    test.options.checkpoint_octets = 32 << 20;
    test.options.index_memory = 16 << 20;
    test.open();
    constexpr std::uint64_t kTasks = 100'000, kBatch = 1000;
    for (std::uint64_t n = 0; n < kTasks; n += kBatch) {
        SpoolBatch batch;
        for (std::uint64_t i = n; i < n + kBatch; i++) batch.put_tasks.push_back(sample_task(i));
        REQUIRE(test.caller->commit(std::move(batch)));
    }
    test.close();
    test.open();
    std::uint64_t next = 0;
    bool in_order = true;
    REQUIRE(test.spool->scan_tasks([&](Task&& task) { in_order = in_order && task.key.message == sample_id(next++); }));
    CHECK(in_order);
    CHECK(next == kTasks);
}

TEST_CASE("below its reserve the spool refuses mail and takes outcomes, and comes back by itself") {
    TestSpool test;
    test.options.min_free = 1'000'000;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    std::vector<SpoolCondition> seen;
    test.spool->on_state_change(test.caller->executor(), [&](SpoolState state) { seen.push_back(state.condition); });
    test.disk.free_octets = 999'999;
    REQUIRE(test.reaches(SpoolCondition::SpaceLow));
    auto refused = test.caller->commit(sample_acceptance(2));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::ResourceExhausted);
    CHECK(test.caller->append(sample_id(3), 0, sample_content(3)).error().kind == ErrorKind::ResourceExhausted);
    CHECK(test.caller->commit(sample_outcome(1)));
    CHECK(test.caller->put_note("paused", "x"));
    test.disk.free_octets = 1'000'001;  // not far enough above to be believed
    CHECK(test.spool->state().condition == SpoolCondition::SpaceLow);
    test.disk.free_octets = 2'000'000;
    REQUIRE(test.reaches(SpoolCondition::Ready));
    CHECK(test.caller->commit(sample_acceptance(2)));
    test.caller->executor().run_until_idle();
    CHECK(seen == std::vector{SpoolCondition::SpaceLow, SpoolCondition::Ready});
}

TEST_CASE("a second process is refused with the number of the first") {
    TestSpool test;
    test.open();
    auto second = test.try_open(test.path());
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == ErrorKind::AlreadyExists);
    CHECK(second.error().text.find("in use by process " + std::to_string(::getpid())) != std::string::npos);
}

TEST_CASE("a directory that holds something else is refused") {
    TestSpool test;
    test.directory.write("other/photo.jpg", "not mail");
    auto opened = test.try_open(test.directory.file("other"));
    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == ErrorKind::InvalidArgument);
    CHECK(opened.error().text.find("photo.jpg") != std::string::npos);
    CHECK(std::filesystem::exists(test.directory.file("other/photo.jpg")));
}

TEST_CASE("a spool of a newer format is refused") {
    TestSpool test;
    test.open();
    test.close();
    std::ofstream(test.path() + "/postfleet-spool") << "postfleet-spool 2\nid 00112233445566778899aabbccddeeff\n";
    auto opened = test.try_open(test.path());
    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == ErrorKind::InvalidArgument);
    CHECK(opened.error().text.find("newer") != std::string::npos);
}

TEST_CASE("a log that belongs to another spool is refused") {
    TestSpool test;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    test.close();
    std::ofstream(test.path() + "/postfleet-spool") << "postfleet-spool 1\nid 00112233445566778899aabbccddeeff\n";
    auto opened = test.try_open(test.path());
    REQUIRE_FALSE(opened);
    CHECK(opened.error().text.find("another spool") != std::string::npos);
}

TEST_CASE("a directory that cannot be made says so") {
    TestSpool test;
    test.directory.write("file", "");
    auto opened = test.try_open(test.directory.file("file/spool"));
    REQUIRE_FALSE(opened);
    CHECK(opened.error().text.find("file/spool") != std::string::npos);
}

TEST_CASE("the identity of a spool stays the same") {
    TestSpool test;
    test.open();
    auto id = test.spool->spool_id();
    CHECK(id.size() == 32);
    test.open();
    CHECK(test.spool->spool_id() == id);
}

TEST_CASE("too many reads at once are refused, and the others are answered") {
    TestSpool test;
    test.options.max_reads_waiting = 4;
    test.options.reader_threads = 1;
    test.open();
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    auto& executor = test.caller->executor();
    std::size_t found = 0, refused = 0;
    constexpr std::size_t kReads = 2000;
    for (std::size_t i = 0; i < kReads; i++) {
        test.spool->load({sample_id(1), 0}, {&executor, [&](Result<Spool::Loaded> loaded) {
                                                 if (loaded) found++;
                                                 else if (loaded.error().kind == ErrorKind::ResourceExhausted)
                                                     refused++;
                                             }});
    }
    REQUIRE(executor.run_until([&] { return found + refused == kReads; }));
    CHECK(found > 0);
}

TEST_CASE("metrics tell what the spool does") {
    TestSpool test;
    test.open();
    Metrics metrics;
    test.spool->register_metrics(metrics);
    REQUIRE(test.caller->commit(sample_acceptance(1)));
    std::set<std::string> names;
    for (auto& family : metrics.collect()) {
        names.insert(family.name);
        if (family.name == "postfleet_spool_commits_total") CHECK(family.samples.at(0).value == 1);
        if (family.name == "postfleet_spool_ready") CHECK(family.samples.at(0).value == 1);
    }
    CHECK(names.contains("postfleet_spool_latches_total"));
    CHECK(names.contains("postfleet_spool_log_octets"));
}

TEST_CASE("ids that were taken are remembered for their time, and take no space after it") {
    TestSpool test;
    auto now = WallTime(std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + std::chrono::hours(23));
    test.options.wall_now = [&now] { return now; };
    test.options.taken_window = std::chrono::hours(24);
    test.open();
    const auto offer = [&](std::uint64_t n) {
        auto batch = sample_acceptance(n);
        batch.taken_as = sample_id(n);
        if (!test.caller->commit(std::move(batch))) return false;
        return test.caller->commit(sample_outcome(n)).has_value();  // and it is finished
    };
    REQUIRE(offer(1));
    now += std::chrono::hours(24);
    CHECK_FALSE(offer(1));
    REQUIRE(offer(2));
    now += std::chrono::hours(24);
    CHECK(offer(1));
    CHECK_FALSE(offer(2));
    SECTION("a copy of the message itself is not told from a new one without its id") {
        CHECK(test.caller->commit(sample_acceptance(2)));
    }
    SECTION("nothing is remembered when that is the setting") {
        test.options.taken_window = {};
        test.open();
        CHECK(offer(2));
        CHECK(offer(2));
    }
}

}  // namespace postfleet::spool
