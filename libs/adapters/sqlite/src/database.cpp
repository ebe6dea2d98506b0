#include "database.hpp"

#include <sqlite3.h>

#include <utility>

namespace postfleet::sqlite {

namespace {

ErrorKind kind_of(int code) {
    switch (code & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return ErrorKind::Corruption;
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return ErrorKind::AlreadyExists;
        case SQLITE_FULL:
        case SQLITE_NOMEM: return ErrorKind::ResourceExhausted;
        case SQLITE_PERM:
        case SQLITE_READONLY: return ErrorKind::PermissionDenied;
        default: return ErrorKind::Unavailable;
    }
}

Error error_of(sqlite3* database, int code) {
    return {kind_of(code), database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code)};
}

}  // namespace

// --- Statement -----------------------------------------------------------------------------------------

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      bound_(other.bound_),
      failed_(other.failed_) {}

Statement& Statement::bind(std::int64_t value) {
    const int code = sqlite3_bind_int64(statement_, ++bound_, value);
    if (failed_ == SQLITE_OK) failed_ = code;
    return *this;
}

Statement& Statement::bind(std::string_view octets) {
    // A null pointer would be NULL; an empty text is none.
    const char* start = octets.empty() ? "" : octets.data();
    const int code = sqlite3_bind_text64(statement_, ++bound_, start, octets.size(), SQLITE_STATIC, SQLITE_UTF8);
    if (failed_ == SQLITE_OK) failed_ = code;
    return *this;
}

Statement& Statement::bind(std::optional<std::int64_t> value) {
    if (value) return bind(*value);
    const int code = sqlite3_bind_null(statement_, ++bound_);
    if (failed_ == SQLITE_OK) failed_ = code;
    return *this;
}

Result<bool> Statement::step() {
    if (failed_ != SQLITE_OK) return error_of(database_, failed_);
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return error_of(database_, code);
}

void Statement::reset() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
    bound_ = 0;
    failed_ = SQLITE_OK;
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_, column); }

std::optional<std::int64_t> Statement::maybe_number(int column) const {
    if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
    return number(column);
}

std::string Statement::text(int column) const {
    const void* octets = sqlite3_column_blob(statement_, column);
    if (octets == nullptr) return {};
    return {static_cast<const char*>(octets), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

// --- Database ------------------------------------------------------------------------------------------

Result<Database> Database::open(const std::string& path) {
    sqlite3* raw = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    Database database(raw);
    if (code != SQLITE_OK) return error_of(raw, code);
    sqlite3_extended_result_codes(raw, 1);
    return database;
}

Database::~Database() { sqlite3_close_v2(database_); }
Database::Database(Database&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

Result<Statement> Database::prepare(std::string_view sql) const {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
    if (code != SQLITE_OK) return error_of(database_, code);
    return Statement(database_, statement);
}

Status Database::run(const std::string& sql) const {
    const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error_of(database_, code);
    return {};
}

Result<std::int64_t> Database::number_of(std::string_view sql) const {
    auto statement = prepare(sql);
    if (!statement) return statement.error();
    const Result<bool> row = statement->step();
    if (!row) return row.error();
    return *row ? statement->number(0) : 0;
}

Result<std::string> Database::text_of(std::string_view sql) const {
    auto statement = prepare(sql);
    if (!statement) return statement.error();
    const Result<bool> row = statement->step();
    if (!row) return row.error();
    return *row ? statement->text(0) : std::string();
}

// --- Transaction ---------------------------------------------------------------------------------------

Result<Transaction> Transaction::begin(const Database& database) {
    if (Status begun = database.run("BEGIN IMMEDIATE"); !begun) return begun.error();
    return Transaction(database);
}

Transaction::~Transaction() {
    // A rollback that fails leaves a transaction that the next BEGIN complains about.
    if (database_ != nullptr) (void)database_->run("ROLLBACK").has_value();
}

Transaction::Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

Status Transaction::commit() {
    Status committed = database_->run("COMMIT");
    if (committed) database_ = nullptr;
    return committed;
}

}  // namespace postfleet::sqlite
