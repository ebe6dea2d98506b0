#include "schema.hpp"

#include <array>
#include <string>

namespace postfleet::sqlite {

namespace {

constexpr std::int64_t kApplicationId = 0x50465354;  // "PFST"

// Never changed once released: what must differ is a further one.
constexpr std::array kMigrations{
    R"sql(
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice
        action TEXT NOT NULL,
        everything INTEGER NOT NULL,
        queue TEXT NOT NULL, virtual_mta TEXT NOT NULL, pool TEXT NOT NULL, site TEXT NOT NULL,
        domain TEXT NOT NULL, tenant TEXT NOT NULL, job TEXT NOT NULL,
        reverse_path TEXT NOT NULL, recipient TEXT NOT NULL, message TEXT NOT NULL,
        accepted_before INTEGER,
        text TEXT NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL,
        given_at INTEGER NOT NULL, expires_at INTEGER, finished_at INTEGER,
        recipients INTEGER NOT NULL
    );
    )sql",
};

}  // namespace

Status migrate(const Database& database) {
    const auto application = database.number_of("PRAGMA application_id");
    if (!application) return application.error();
    const auto version = database.number_of("PRAGMA user_version");
    if (!version) return version.error();
    const auto tables = database.number_of("SELECT count(*) FROM sqlite_schema");
    if (!tables) return tables.error();
    if (*application != kApplicationId && (*application != 0 || *version != 0 || *tables != 0)) {
        return Error{ErrorKind::InvalidArgument, "it is a database, but not one of Postfleet's"};
    }
    if (*version > static_cast<std::int64_t>(kMigrations.size())) {
        return Error{ErrorKind::InvalidArgument, "it was written by a newer Postfleet (version " +
                                                     std::to_string(*version) + ", this one knows " +
                                                     std::to_string(kMigrations.size()) + "); run that one"};
    }
    for (auto next = static_cast<std::size_t>(*version); next < kMigrations.size(); ++next) {
        auto transaction = Transaction::begin(database);
        if (!transaction) return transaction.error();
        if (Status done = database.run(kMigrations[next]); !done) return done;
        const std::string stamp = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                                  "; PRAGMA user_version = " + std::to_string(next + 1);
        if (Status done = database.run(stamp); !done) return done;
        if (Status done = transaction->commit(); !done) return done;
    }
    return {};
}

}  // namespace postfleet::sqlite
