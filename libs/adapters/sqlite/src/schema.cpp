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
    // The cluster: changes of orders by revision, and what else a router keeps.
    R"sql(
    ALTER TABLE orders ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX orders_by_revision ON orders (revision);
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counters VALUES ('orders', (SELECT count(*) > 0 FROM orders)), ('orders_floor', 0), ('senders', 0),
        ('activations', 0);
    CREATE TABLE order_removals (order_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
    CREATE TABLE order_progress (
        order_id INTEGER NOT NULL, sender TEXT NOT NULL, recipients INTEGER NOT NULL, finished_at INTEGER,
        PRIMARY KEY (order_id, sender)
    ) WITHOUT ROWID;
    CREATE TABLE idempotency_keys (
        tenant TEXT NOT NULL, name TEXT NOT NULL, message TEXT NOT NULL, claims INTEGER NOT NULL,
        is_done INTEGER NOT NULL, window_us INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;
    CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
    CREATE TABLE senders (
        name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, spool_id TEXT NOT NULL, holder TEXT NOT NULL,
        since INTEGER NOT NULL, waiting_spool_id TEXT NOT NULL, waiting_holder TEXT NOT NULL,
        waiting_since INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX senders_by_spool ON senders (spool_id) WHERE spool_id <> '';
    CREATE TABLE configurations (
        epoch INTEGER PRIMARY KEY, version TEXT NOT NULL, activated_at INTEGER NOT NULL, activated_by TEXT NOT NULL
    );
    CREATE TABLE configuration_files (
        epoch INTEGER NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (epoch, name)
    ) WITHOUT ROWID;
    CREATE TABLE suppressions (
        tenant TEXT NOT NULL, target TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL,
        added_at INTEGER NOT NULL, expires_at INTEGER, PRIMARY KEY (tenant, target)
    ) WITHOUT ROWID;
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
