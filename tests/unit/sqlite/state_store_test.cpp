#include "postfleet/sqlite/state_store.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>

#include "postfleet/support/manual_executor.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using postfleet::sql_state::SqlStateStore;
using postfleet::sqlite::open_state_store;

namespace {

void run_sql(const std::string& path, const char* sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
}

Error refusal(const std::string& path) {
    auto opened = open_state_store(path);
    REQUIRE_FALSE(opened.has_value());
    return opened.error();
}

}  // namespace

TEST_CASE("a database of a newer program is refused, and stays as it is") {
    support::TemporaryDirectory directory;
    const std::string path = directory.file("state.db");
    REQUIRE(open_state_store(path).has_value());
    run_sql(path, "PRAGMA user_version = 99");
    const Error error = refusal(path);
    CHECK(error.kind == ErrorKind::InvalidArgument);
    CHECK(error.text.find("newer Postfleet (version 99") != std::string::npos);
}

TEST_CASE("somebody else's database is refused") {
    support::TemporaryDirectory directory;
    const std::string path = directory.file("state.db");
    run_sql(path, "CREATE TABLE theirs (x)");
    CHECK(refusal(path).text.find("not one of Postfleet's") != std::string::npos);
}

TEST_CASE("a file that is no database is refused, and the text says how to mend it") {
    support::TemporaryDirectory directory;
    const std::string path = directory.file("state.db");
    std::ofstream(path) << std::string(8192, 'x');
    const Error error = refusal(path);
    CHECK(error.kind == ErrorKind::Corruption);
    CHECK(error.text.find("move it away") != std::string::npos);
}

TEST_CASE("a damaged page is noticed when the database is opened") {
    support::TemporaryDirectory directory;
    const std::string path = directory.file("state.db");
    {
        support::ManualExecutor executor;
        auto store = open_state_store(path).value();
        Order order;
        order.why = std::string(2000, 'w');
        std::optional<bool> done;
        store->add_orders(std::vector<Order>(100, order), {&executor, [&](auto ids) { done = ids.has_value(); }});
        REQUIRE(executor.run_until([&] { return done.has_value(); }, std::chrono::seconds(60)));
    }
    const auto size = std::filesystem::file_size(path);
    {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(size / 2 / 4096 * 4096));
        file << std::string(4096, '\x5a');
    }
    CHECK(refusal(path).kind == ErrorKind::Corruption);
}

TEST_CASE("two processes cannot have the same database") {
    support::TemporaryDirectory directory;
    const std::string path = directory.file("state.db");
    const auto first = open_state_store(path);
    REQUIRE(first.has_value());
    const Error error = refusal(path);
    CHECK(error.kind == ErrorKind::AlreadyExists);
    CHECK(error.text.find("another process") != std::string::npos);
}

TEST_CASE("more calls than may wait are refused at once, and the others are carried out") {
    support::TemporaryDirectory directory;
    support::ManualExecutor executor;
    auto store = open_state_store(directory.file("state.db")).value();
    std::size_t kept = 0, refused = 0;
    const std::size_t calls = 20 * SqlStateStore::kMostWaiting;
    for (std::size_t i = 0; i < calls; ++i) {
        store->update_order(Order{}, {&executor, [&](Status status) {
                                          CHECK((status || status.error().kind == ErrorKind::ResourceExhausted));
                                          ++(status ? kept : refused);
                                      }});
    }
    REQUIRE(executor.run_until([&] { return kept + refused == calls; }, std::chrono::seconds(60)));
    CHECK(kept >= SqlStateStore::kMostWaiting);
}
