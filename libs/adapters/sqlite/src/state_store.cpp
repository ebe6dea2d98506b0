#include "postfleet/sqlite/state_store.hpp"

#include <unordered_map>
#include <utility>

#include "database.hpp"
#include "schema.hpp"

namespace postfleet::sqlite {

namespace {

class SqliteConnection final : public sql_state::Connection {
public:
    explicit SqliteConnection(Database database) : database_(std::move(database)) {}

    Result<sql_state::Statement*> prepare(const std::string& sql) override {
        auto kept = statements_.find(sql);
        if (kept == statements_.end()) {
            auto made = database_.prepare(sql);
            if (!made) return made.error();
            kept = statements_.emplace(sql, *std::move(made)).first;
        }
        kept->second.reset();
        return &kept->second;
    }
    Status begin() override { return database_.run("BEGIN IMMEDIATE"); }
    Status commit() override { return database_.run("COMMIT"); }
    // One that fails leaves a transaction that the next begin() complains about.
    void roll_back() override { (void)database_.run("ROLLBACK").has_value(); }
    bool is_lost() const override { return false; }
    bool has_collided() const override { return false; }
    void set_deadline(SteadyTime) override {}  // the disk takes as long as it takes

private:
    Database database_;
    std::unordered_map<std::string, Statement> statements_;  // before the database in death
};

Result<Database> open_checked(const std::string& path) {
    auto database = Database::open(path);
    if (!database) return database.error();
    // Exclusive: nobody else changes it under us, and there is no shared memory file.
    if (Status set = database->run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; "
                                   "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
        !set) {
        return set.error();
    }
    const auto check = database->text_of("PRAGMA quick_check(1)");
    if (!check) return check.error();
    if (*check != "ok") return Error{ErrorKind::Corruption, *check};
    if (Status migrated = migrate(*database); !migrated) return migrated.error();
    return database;
}

const char* how_to_mend(ErrorKind kind) {
    if (kind == ErrorKind::Corruption) {
        return "; restore it from a backup, or move it away: then all orders (pauses, suppressions …) are gone";
    }
    if (kind == ErrorKind::AlreadyExists) return "; another process has it open: stop that one";
    return "";
}

}  // namespace

Result<std::unique_ptr<sql_state::SqlStateStore>> open_state_store(const std::string& path) {
    auto database = open_checked(path);
    if (!database) {
        const Error& error = database.error();
        return Error{error.kind, path + ": " + error.text + how_to_mend(error.kind)};
    }
    sql_state::StoreSettings settings;
    settings.connection = std::make_unique<SqliteConnection>(*std::move(database));
    return std::make_unique<sql_state::SqlStateStore>(std::move(settings));
}

}  // namespace postfleet::sqlite
