// Nothing that was confirmed is lost, and nothing is there by halves: processes killed, and power cut, at work.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <thread>

#include "postfleet/support/await.hpp"
#include "spool_fixture.hpp"

namespace postfleet::spool {

using namespace postfleet::support;
using namespace postfleet::spool::test;

namespace {

// Everything accepted and not begun to end must be there, whole; everything that was confirmed to have ended must not.
void check_store(TestSpool& test, const std::set<std::uint64_t>& accepted, const std::set<std::uint64_t>& ended) {
    std::set<std::uint64_t> found;
    for (auto& task : test.caller->scan()) {
        std::uint64_t n = 0;
        for (int i = 0; i < 8; i++) n = n << 8 | task.key.message.octets[static_cast<std::size_t>(i)];
        CHECK(found.insert(n).second);
    }
    std::size_t lost = 0, undead = 0, broken = 0;
    for (auto n : accepted) {
        if (n % 3 != 0 && !found.contains(n)) lost++;
    }
    for (auto n : ended) {
        if (found.contains(n)) undead++;
    }
    for (auto n : found) {
        auto loaded = test.caller->load({sample_id(n), 0});
        bool whole = loaded && loaded->task == sample_task(n) && *loaded->message == *sample_message(n) &&
                     *loaded->first_chunk == *sample_content(n, 500 + n * 37 % 9000);
        if (!whole) broken++;
    }
    CHECK(lost == 0);
    CHECK(undead == 0);
    CHECK(broken == 0);
    CHECK(test.spool->statistics().quarantined == 0);
    // Each that was found has its event, in order, none twice.
    std::set<std::string> accepted_events;
    std::uint64_t after = 0;
    for (;;) {
        auto events = test.spool->read(after, 500);
        REQUIRE(events);
        if (events->empty()) break;
        for (auto& event : *events) {
            CHECK(event.number == after + 1);
            after = event.number;
            if (event.event->type == EventType::Accepted) {
                CHECK(accepted_events.insert(event.event->message->id.to_string()).second);
            }
        }
    }
    for (auto n : accepted) CHECK(accepted_events.contains(sample_id(n).to_string()));
    // And whoever has not heard of it and offers it again is answered that it was taken.
    std::size_t taken_twice = 0;
    for (auto n : accepted) {
        if (!was_offered(n)) continue;
        auto again = sample_acceptance(n);
        again.taken_as = sample_id(n);
        if (test.caller->commit(std::move(again))) taken_twice++;
    }
    CHECK(taken_twice == 0);
}

}  // namespace

TEST_CASE("a process that is killed at work loses nothing that it confirmed", "[crash]") {
    TestSpool test;
    std::set<std::uint64_t> accepted, ended;
    std::uint64_t first = 0;
    for (int round = 0; round < 6; round++) {
        const auto* slow_write = round % 2 == 0 ? "4" : "0";  // 0: groups overlap on any disk
        int report[2];
        REQUIRE(::pipe(report) == 0);
        auto child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::dup2(report[1], STDOUT_FILENO);
            ::close(report[0]);
            auto directory = test.path(), begin = std::to_string(first);
            ::execl(POSTFLEET_SPOOL_CRASH_CHILD, "spool_crash_child", directory.c_str(), begin.c_str(), slow_write,
                    nullptr);
            ::_exit(127);
        }
        ::close(report[1]);
        Confirmation line;
        std::size_t lines = 0;
        // Killed in the middle of the work, each time after more of it; what is in the pipe was confirmed.
        const std::size_t kill_after = 700 * static_cast<std::size_t>(round + 1);
        while (::read(report[0], &line, sizeof line) == sizeof line) {
            (line.ended != 0 ? ended : accepted).insert(line.n);
            first = std::max(first, line.n + 1);
            if (++lines == kill_after) REQUIRE(::kill(child, SIGKILL) == 0);
        }
        ::close(report[0]);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        first += 1000;  // what was in flight has numbers of its own
        test.open();
        INFO("round " << round);
        check_store(test, accepted, ended);
        test.close();
    }
}

TEST_CASE("a power loss at any moment loses nothing that was confirmed", "[crash]") {
    TestSpool test;
    test.options.segment_octets = 256 << 10;
    test.options.checkpoint_octets = 512 << 10;
    SECTION("on a disk that is fast") {}
    SECTION("on a slow disk, where groups overlap") { test.options.slow_write = Duration{}; }
    test.open();
    std::set<std::uint64_t> accepted, ended;
    auto& executor = test.caller->executor();
    Load load(
        *test.spool, executor, 0, [&](auto n) { accepted.insert(n); }, [&](auto n) { ended.insert(n); });
    load.begin(20);
    std::uint64_t next_stop = 0;
    for (std::uint64_t seed = 1; seed <= 25; seed++) {
        next_stop += 40 + seed * 7 % 30;
        REQUIRE(executor.run_until([&] { return accepted.size() >= next_stop; }, std::chrono::seconds(60)));
        auto confirmed_accepted = accepted, confirmed_ended = ended;
        auto picture = test.directory.path() / ("after-" + std::to_string(seed));
        test.disk.photograph(test.path(), picture, seed);
        TestSpool after;
        after.options = test.options;
        auto opened = after.try_open(picture.string());
        INFO("photograph " << seed);
        if (!opened) FAIL(opened.error().text);
        after.spool = *std::move(opened);
        after.caller.emplace(*after.spool);
        check_store(after, confirmed_accepted, confirmed_ended);
        REQUIRE(after.caller->commit(sample_acceptance(1'000'000)));
        after.close();
        std::filesystem::remove_all(picture);
    }
    load.stop();
    executor.run_until([&] { return load.in_flight() == 0; });
}

}  // namespace postfleet::spool
