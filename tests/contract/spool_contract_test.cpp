#include "spool_contract.hpp"

#include <catch2/catch.hpp>

#include "postfleet/spool/rocks_spool.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/temporary_directory.hpp"

namespace postfleet::contract {

namespace {

class FakeUnderTest final : public SpoolUnderTest {
public:
    Spool& spool() override { return fake_; }
    EventLog& events() override { return fake_; }
    void restart() override { fake_.restart(); }

private:
    support::FakeSpool fake_;
};

class RocksUnderTest final : public SpoolUnderTest {
public:
    explicit RocksUnderTest(std::uint64_t event_tail, Duration slow_write = std::chrono::milliseconds(4))
        : event_tail_(event_tail), slow_write_(slow_write) {
        open();
    }
    Spool& spool() override { return *spool_; }
    EventLog& events() override { return *spool_; }
    void restart() override {
        spool_.reset();
        open();
    }

private:
    void open() {
        spool::RocksSpoolOptions options;
        options.directory = directory_.file("spool");
        options.min_free = 0;
        options.segment_octets = 1 << 20;
        options.event_tail = event_tail_;
        options.slow_write = slow_write_;
        auto opened = spool::RocksSpool::open(std::move(options));
        if (!opened) FAIL(opened.error().text);
        spool_ = *std::move(opened);
    }
    std::uint64_t event_tail_;
    Duration slow_write_;
    support::TemporaryDirectory directory_;
    std::unique_ptr<spool::RocksSpool> spool_;
};

}  // namespace

TEST_CASE("the in-memory spool keeps the promises of the ports", "[contract]") {
    spool_contract([] { return std::make_unique<FakeUnderTest>(); });
}

TEST_CASE("the spool on disk keeps the promises of the ports", "[contract]") {
    spool_contract([] { return std::make_unique<RocksUnderTest>(1 << 20); });
}

TEST_CASE("the spool on disk keeps them when no event stays in memory", "[contract]") {
    spool_contract([] { return std::make_unique<RocksUnderTest>(0); });
}

TEST_CASE("the spool on disk keeps them when groups overlap", "[contract]") {
    spool_contract([] { return std::make_unique<RocksUnderTest>(1 << 20, Duration{}); });
}

}  // namespace postfleet::contract
