#include "state_store_contract.hpp"

#include <catch2/catch.hpp>

#include "postfleet/sqlite/state_store.hpp"
#include "postfleet/support/fake_state_store.hpp"
#include "postfleet/support/temporary_directory.hpp"

namespace postfleet::contract {

namespace {

class FakeUnderTest final : public StateStoreUnderTest {
public:
    StateStore& store() override { return fake_; }
    void restart() override {}

private:
    support::FakeStateStore fake_;
};

class SqliteUnderTest final : public StateStoreUnderTest {
public:
    SqliteUnderTest() { open(); }
    StateStore& store() override { return *store_; }
    void restart() override {
        store_.reset();
        open();
    }

private:
    void open() {
        auto opened = sqlite::open_state_store(directory_.file("state.db"));
        if (!opened) FAIL(opened.error().text);
        store_ = *std::move(opened);
    }
    support::TemporaryDirectory directory_;
    std::unique_ptr<sql_state::SqlStateStore> store_;
};

}  // namespace

TEST_CASE("the in-memory state store keeps the promises of the port", "[contract]") {
    state_store_contract([] { return std::make_unique<FakeUnderTest>(); });
}

TEST_CASE("the state store in SQLite keeps the promises of the port", "[contract]") {
    state_store_contract([] { return std::make_unique<SqliteUnderTest>(); });
}

}  // namespace postfleet::contract
