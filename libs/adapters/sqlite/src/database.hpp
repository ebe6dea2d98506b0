// Database, Statement, Transaction: SQLite's C interface as values that clean up after themselves.
//
// Threads: confined. Errors: SQLite's codes as ErrorKind, with its text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/sql_state/connection.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace postfleet::sqlite {

class Statement final : public sql_state::Statement {
public:
    Statement(sqlite3* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
    ~Statement() override;
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;

    Statement& bind(std::int64_t value) override;
    Statement& bind(std::string_view octets) override;
    Statement& bind(std::optional<std::int64_t> value) override;
    Result<bool> step() override;
    void reset() override;
    std::int64_t number(int column) const override;
    std::optional<std::int64_t> maybe_number(int column) const override;
    std::string text(int column) const override;

private:
    sqlite3* database_;
    sqlite3_stmt* statement_;
    int bound_ = 0;
    int failed_ = 0;  // the first code of a bind that failed
};

class Database final {
public:
    static Result<Database> open(const std::string& path);
    ~Database();
    Database(Database&& other) noexcept;
    Database& operator=(Database&&) = delete;

    Result<Statement> prepare(std::string_view sql) const;
    // One or more statements that give nothing back.
    Status run(const std::string& sql) const;
    // "PRAGMA user_version": the first column of the first row.
    Result<std::int64_t> number_of(std::string_view sql) const;
    Result<std::string> text_of(std::string_view sql) const;

private:
    explicit Database(sqlite3* database) : database_(database) {}
    sqlite3* database_;
};

// Undone when it is destroyed before commit() has said ok.
class Transaction final {
public:
    static Result<Transaction> begin(const Database& database);
    ~Transaction();
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    Status commit();

private:
    explicit Transaction(const Database& database) : database_(&database) {}
    const Database* database_;  // null: it has ended
};

}  // namespace postfleet::sqlite
