#include "postfleet/reporting/event_carrier.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

using namespace postfleet;
using namespace postfleet::reporting;
using namespace std::chrono_literals;

namespace {

// An outbox in memory; what a cursor says survives "crashes", as the real one does.
class FakeEventLog final : public EventLog {
public:
    void append(EventType type, int count = 1) {
        std::lock_guard lock(mutex_);
        for (int i = 0; i < count; ++i) {
            auto event = std::make_shared<Event>();
            event->type = type;
            event->recipient = "r" + std::to_string(events_.size() + 1);
            events_.push_back({events_.size() + 1, std::move(event)});
        }
        changed_.notify_all();
    }
    Result<std::uint64_t> open_cursor(const std::string& name) override {
        std::lock_guard lock(mutex_);
        return cursors_.try_emplace(name, passed_).first->second;
    }
    Status keep_only_cursors(const std::vector<std::string>& names) override {
        std::lock_guard lock(mutex_);
        std::erase_if(cursors_,
                      [&](const auto& c) { return std::find(names.begin(), names.end(), c.first) == names.end(); });
        if (cursors_.empty()) passed_ = events_.size();  // nobody reads
        return {};
    }
    Result<std::vector<LoggedEvent>> read(std::uint64_t after, std::size_t max_events) override {
        std::lock_guard lock(mutex_);
        const std::size_t end = std::min(events_.size(), static_cast<std::size_t>(after) + max_events);
        return std::vector<LoggedEvent>(events_.begin() + static_cast<std::ptrdiff_t>(after),
                                        events_.begin() + static_cast<std::ptrdiff_t>(end));
    }
    void wait(std::uint64_t after, SteadyTime until) override {
        std::unique_lock lock(mutex_);
        changed_.wait_until(lock, until, [&] { return events_.size() > after; });
    }
    Status advance(const std::string& cursor, std::uint64_t number) override {
        std::unique_lock lock(mutex_);
        if (fail_advance_ > 0) {
            --fail_advance_;
            return Error{ErrorKind::Unavailable, "latched"};
        }
        cursors_[cursor] = number;
        changed_.notify_all();
        return {};
    }
    std::uint64_t last_number() const override {
        std::lock_guard lock(mutex_);
        return events_.size();
    }
    std::uint64_t octets_after(std::uint64_t number) const override {
        std::lock_guard lock(mutex_);
        return 100 * (events_.size() - number);
    }
    void stop() override {}

    void fail_next_advances(int count) {
        std::lock_guard lock(mutex_);
        fail_advance_ = count;
    }
    bool await_cursor(const std::string& name, std::uint64_t number) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 20s, [&] { return cursors_[name] >= number; });
    }
    std::uint64_t cursor(const std::string& name) {
        std::lock_guard lock(mutex_);
        return cursors_.contains(name) ? cursors_[name] : 0;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<LoggedEvent> events_;
    std::map<std::string, std::uint64_t> cursors_;
    std::uint64_t passed_ = 0;
    int fail_advance_ = 0;
};

// What a sink was given: `flushed` survives a crash, the rest does not.
struct Disk {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> written, flushed;
    int fail_writes = 0, fail_flushes = 0, flushes = 0, failures = 0;

    void crash() {
        std::lock_guard lock(mutex);
        written = flushed;
    }
    std::size_t await_failures(int count) {
        std::unique_lock lock(mutex);
        changed.wait_for(lock, 20s, [&] { return failures >= count; });
        return static_cast<std::size_t>(failures);
    }
};

class FakeSink final : public ReportSink {
public:
    explicit FakeSink(Disk& disk) : disk_(disk) {}
    Status write(std::span<const ReportRecord> records) override {
        std::lock_guard lock(disk_.mutex);
        if (disk_.fail_writes > 0) return fail(disk_.fail_writes);
        for (const ReportRecord& record : records) disk_.written.push_back(record.text);
        return {};
    }
    Status flush() override {
        std::lock_guard lock(disk_.mutex);
        ++disk_.flushes;
        if (disk_.fail_flushes > 0) {
            disk_.written = disk_.flushed;  // a failed sync loses what was not safe
            return fail(disk_.fail_flushes);
        }
        disk_.flushed = disk_.written;
        return {};
    }

private:
    Status fail(int& left) {
        --left;
        ++disk_.failures;
        disk_.changed.notify_all();
        return Error{ErrorKind::ResourceExhausted, "disk full"};
    }
    Disk& disk_;
};

SinkSetup setup_of(const std::string& name, Disk& disk, std::vector<EventType> types = {}) {
    return {.name = name,
            .types = std::move(types),
            .fingerprint = name,
            .open = [&disk]() -> Result<std::unique_ptr<ReportSink>> {
                return std::unique_ptr<ReportSink>(new FakeSink(disk));
            }};
}

CarrierOptions quick() {
    CarrierOptions options;
    options.source.uri = "/test";
    options.flush_interval = 2ms;
    options.gather_interval = 1ms;
    options.first_backoff = 1ms;
    options.last_backoff = 2ms;
    options.quota_interval = 1ms;
    return options;
}

std::string recipient_of(const std::string& record) {
    const auto at = record.find("\"recipient\":\"") + 13;
    return record.substr(at, record.find('"', at) - at);
}

// Every event once or more, and first occurrences in the order of the outbox.
void check_complete(const std::vector<std::string>& records, int count) {
    std::vector<std::string> firsts;
    for (const std::string& record : records) {
        const std::string recipient = recipient_of(record);
        if (std::find(firsts.begin(), firsts.end(), recipient) == firsts.end()) firsts.push_back(recipient);
    }
    REQUIRE(firsts.size() == static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) CHECK(firsts[static_cast<std::size_t>(i)] == "r" + std::to_string(i + 1));
}

}  // namespace

TEST_CASE("events reach the sink in order, once, and the cursor follows the flush") {
    FakeEventLog log;
    Disk disk;
    Metrics metrics;
    log.append(EventType::Accepted, 2'500);
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup_of("file", disk)});
    REQUIRE(log.await_cursor("file", 2'500));
    log.append(EventType::Delivered, 3);
    REQUIRE(log.await_cursor("file", 2'503));
    carrier.stop();
    CHECK(disk.flushed.size() == 2'503);
    check_complete(disk.flushed, 2'503);
    const SinkStatus status = carrier.status().at(0);
    CHECK(status.written == 2'503);
    CHECK(status.errors == 0);
    CHECK(status.lag_events == 0);
}

TEST_CASE("a sink gets only the types it wants, and its cursor passes the others") {
    FakeEventLog log;
    Disk disk;
    Metrics metrics;
    log.append(EventType::Accepted, 5);
    log.append(EventType::Bounced, 1);
    log.append(EventType::Accepted, 5);
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup_of("bounces", disk, {EventType::Bounced, EventType::Expired})});
    REQUIRE(log.await_cursor("bounces", 11));
    carrier.stop();
    REQUIRE(disk.flushed.size() == 1);
    CHECK(recipient_of(disk.flushed[0]) == "r6");
}

TEST_CASE("a full disk holds events back and everything arrives when there is room again") {
    FakeEventLog log;
    Disk disk;
    disk.fail_writes = 3;
    Metrics metrics;
    log.append(EventType::Accepted, 10);
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup_of("file", disk)});
    REQUIRE(log.await_cursor("file", 10));
    carrier.stop();
    check_complete(disk.flushed, 10);
    CHECK(carrier.status().at(0).errors == 3);
    CHECK(carrier.status().at(0).last_error.empty());
    CHECK(metrics.counter("postfleet_report_errors_total", "", {{"sink", "file"}}).value() == 3);
}

TEST_CASE("after a failed flush everything since the last good one is written again") {
    FakeEventLog log;
    Disk disk;
    disk.fail_flushes = 2;
    Metrics metrics;
    log.append(EventType::Accepted, 10);
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup_of("file", disk)});
    REQUIRE(log.await_cursor("file", 10));
    carrier.stop();
    check_complete(disk.flushed, 10);
    CHECK(disk.flushed.size() == 10);
}

TEST_CASE("a crash between flush and advance repeats events and loses none") {
    FakeEventLog log;
    Disk disk;
    Metrics metrics;
    log.append(EventType::Accepted, 10);
    log.fail_next_advances(1'000'000);
    {
        EventCarrier carrier(log, quick(), metrics, Log());
        carrier.start({setup_of("file", disk)});
        std::unique_lock lock(disk.mutex);
        while (disk.flushes < 2) {
            lock.unlock();
            std::this_thread::yield();
            lock.lock();
        }
    }
    CHECK(log.cursor("file") == 0);
    disk.crash();
    log.fail_next_advances(0);
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup_of("file", disk)});
    REQUIRE(log.await_cursor("file", 10));
    carrier.stop();
    check_complete(disk.flushed, 10);
    CHECK(disk.flushed.size() > 10);
}

TEST_CASE("stopping writes and flushes what is in the outbox") {
    FakeEventLog log;
    Disk disk;
    Metrics metrics;
    CarrierOptions options = quick();
    options.flush_interval = 1h;
    options.gather_interval = 1h;
    log.append(EventType::Accepted, 1);
    EventCarrier carrier(log, options, metrics, Log());
    carrier.start({setup_of("file", disk)});
    for (std::unique_lock lock(disk.mutex); disk.written.empty();) {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
    }
    log.append(EventType::Accepted, 1'999);
    carrier.stop();
    CHECK(log.cursor("file") == 2'000);
    check_complete(disk.flushed, 2'000);
}

TEST_CASE("a sink that fails does not hold back another") {
    FakeEventLog log;
    Disk broken, good;
    broken.fail_writes = 1'000'000;
    Metrics metrics;
    log.append(EventType::Accepted, 10);
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup_of("broken", broken), setup_of("good", good)});
    REQUIRE(log.await_cursor("good", 10));
    REQUIRE(broken.await_failures(2) >= 2);
    const auto status = carrier.status();
    CHECK(status.at(0).last_error == "disk full");
    CHECK(status.at(0).lag_events == 10);
    carrier.stop();
    CHECK(log.cursor("broken") == 0);
}

TEST_CASE("a sink that cannot be opened is tried again") {
    FakeEventLog log;
    Disk disk;
    Metrics metrics;
    log.append(EventType::Accepted, 1);
    std::atomic<int> tries = 0;
    SinkSetup setup = setup_of("file", disk);
    setup.open = [&]() -> Result<std::unique_ptr<ReportSink>> {
        if (++tries < 3) return Error{ErrorKind::Unavailable, "not yet"};
        return std::unique_ptr<ReportSink>(new FakeSink(disk));
    };
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup});
    CHECK(log.await_cursor("file", 1));
    CHECK(tries == 3);
}

TEST_CASE("a new set of sinks leaves unchanged ones alone and forgets the rest") {
    FakeEventLog log;
    Disk stays, leaves, comes;
    Metrics metrics;
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup_of("stays", stays), setup_of("leaves", leaves)});
    log.append(EventType::Accepted, 5);
    REQUIRE(log.await_cursor("stays", 5));
    REQUIRE(log.await_cursor("leaves", 5));
    carrier.reconfigure({setup_of("stays", stays), setup_of("comes", comes)});
    log.append(EventType::Accepted, 5);
    REQUIRE(log.await_cursor("stays", 10));
    REQUIRE(log.await_cursor("comes", 10));
    carrier.stop();
    CHECK(leaves.flushed.size() == 5);
    CHECK(stays.flushed.size() == 10);
    CHECK(comes.flushed.size() == 10);
    CHECK(log.cursor("leaves") == 0);
}

TEST_CASE("[F64] more than the quota waits for a sink that is away: the oldest go, counted, and mail is not held up") {
    FakeEventLog log;
    Disk away;
    away.fail_writes = 1'000'000'000;
    Metrics metrics;
    SinkSetup setup = setup_of("away", away, {EventType::Delivered});
    setup.quota = 100 * 1'000;
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup});
    for (int i = 0; i < 2'500; ++i) {
        log.append(EventType::Accepted);
        log.append(EventType::Delivered);
    }
    REQUIRE(log.await_cursor("away", 4'000));
    CHECK(carrier.admission().open);
    {
        std::lock_guard lock(away.mutex);
        away.fail_writes = 0;
    }
    REQUIRE(log.await_cursor("away", 5'000));
    carrier.stop();
    const SinkStatus status = carrier.status().at(0);
    // Of the 5,000 events half are what it takes; the newest 1,000 are inside the quota, and a hundred go at a time.
    CHECK(status.dropped >= 1'950);
    CHECK(status.dropped <= 2'050);
    CHECK(status.dropped + away.flushed.size() == 2'500);
    CHECK(metrics.counter("postfleet_report_events_dropped_total", "", {{"sink", "away"}}).value() == status.dropped);
    CHECK(recipient_of(away.flushed.back()) == "r5000");
}

TEST_CASE("[F64] a sink that pauses mail closes the door above its quota, loses nothing, and opens it again") {
    FakeEventLog log;
    Disk away;
    away.fail_writes = 1'000'000'000;
    Metrics metrics;
    SinkSetup setup = setup_of("away", away);
    setup.quota = 100 * 1'000;
    setup.when_full = WhenFull::Pause;
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup});
    log.append(EventType::Accepted, 900);
    REQUIRE(away.await_failures(5) >= 5);
    CHECK(carrier.admission().open);
    log.append(EventType::Accepted, 200);
    const SteadyTime until = steady_clock_now() + 20s;
    while (carrier.admission().open && steady_clock_now() < until) std::this_thread::yield();
    CHECK_FALSE(carrier.admission().open);
    CHECK(carrier.admission().reason.find("'away'") != std::string::npos);
    CHECK(carrier.status().at(0).is_full);
    {
        std::lock_guard lock(away.mutex);
        away.fail_writes = 0;
    }
    REQUIRE(log.await_cursor("away", 1'100));
    while (!carrier.admission().open && steady_clock_now() < until + 20s) std::this_thread::yield();
    CHECK(carrier.admission().open);
    carrier.stop();
    CHECK(carrier.status().at(0).dropped == 0);
    CHECK(away.flushed.size() == 1'100);
}

TEST_CASE("a sink that is taken out of the configuration does not hold up mail any more") {
    FakeEventLog log;
    Disk away;
    away.fail_writes = 1'000'000'000;
    Metrics metrics;
    SinkSetup setup = setup_of("away", away);
    setup.quota = 1'000;
    setup.when_full = WhenFull::Pause;
    EventCarrier carrier(log, quick(), metrics, Log());
    carrier.start({setup});
    log.append(EventType::Accepted, 100);
    const SteadyTime until = steady_clock_now() + 20s;
    while (carrier.admission().open && steady_clock_now() < until) std::this_thread::yield();
    CHECK_FALSE(carrier.admission().open);
    carrier.reconfigure({});
    CHECK(carrier.admission().open);
}
