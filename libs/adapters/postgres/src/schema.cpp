#include "schema.hpp"

#include <array>
#include <cstdlib>

#include "session.hpp"

namespace postfleet::postgres {

namespace {

// Never changed once released: what must differ is a further one.
constexpr std::array kMigrations{
    R"sql(
    CREATE TABLE counters (name BYTEA PRIMARY KEY, value BIGINT NOT NULL);
    INSERT INTO counters VALUES ('orders', 0), ('orders_floor', 0), ('senders', 0), ('activations', 0);
    CREATE TABLE orders (
        id BIGSERIAL PRIMARY KEY,  -- never used twice
        action BYTEA NOT NULL,
        everything BIGINT NOT NULL,
        queue BYTEA NOT NULL, virtual_mta BYTEA NOT NULL, pool BYTEA NOT NULL, site BYTEA NOT NULL,
        domain BYTEA NOT NULL, tenant BYTEA NOT NULL, job BYTEA NOT NULL,
        reverse_path BYTEA NOT NULL, recipient BYTEA NOT NULL, message BYTEA NOT NULL,
        accepted_before BIGINT,
        text BYTEA NOT NULL,
        who BYTEA NOT NULL, why BYTEA NOT NULL,
        given_at BIGINT NOT NULL, expires_at BIGINT, finished_at BIGINT,
        recipients BIGINT NOT NULL,
        revision BIGINT NOT NULL
    );
    CREATE INDEX orders_by_revision ON orders (revision);
    CREATE TABLE order_removals (order_id BIGINT PRIMARY KEY, revision BIGINT NOT NULL);
    CREATE TABLE order_progress (
        order_id BIGINT NOT NULL, sender BYTEA NOT NULL, recipients BIGINT NOT NULL, finished_at BIGINT,
        PRIMARY KEY (order_id, sender)
    );
    CREATE TABLE idempotency_keys (
        tenant BYTEA NOT NULL, name BYTEA NOT NULL, message BYTEA NOT NULL, claims BIGINT NOT NULL,
        is_done BIGINT NOT NULL, window_us BIGINT NOT NULL, expires_at BIGINT NOT NULL,
        PRIMARY KEY (tenant, name)
    );
    CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
    CREATE TABLE senders (
        name BYTEA PRIMARY KEY, epoch BIGINT NOT NULL, spool_id BYTEA NOT NULL, holder BYTEA NOT NULL,
        since BIGINT NOT NULL, waiting_spool_id BYTEA NOT NULL, waiting_holder BYTEA NOT NULL,
        waiting_since BIGINT NOT NULL
    );
    CREATE UNIQUE INDEX senders_by_spool ON senders (spool_id) WHERE spool_id <> '';
    CREATE TABLE configurations (
        epoch BIGINT PRIMARY KEY, version BYTEA NOT NULL, activated_at BIGINT NOT NULL, activated_by BYTEA NOT NULL
    );
    CREATE TABLE configuration_files (
        epoch BIGINT NOT NULL, name BYTEA NOT NULL, content BYTEA NOT NULL, PRIMARY KEY (epoch, name)
    );
    CREATE TABLE suppressions (
        tenant BYTEA NOT NULL, target BYTEA NOT NULL, reason BYTEA NOT NULL, source BYTEA NOT NULL,
        added_at BIGINT NOT NULL, expires_at BIGINT, PRIMARY KEY (tenant, target)
    );
    )sql",
};

Result<std::size_t> version_of(Session& session) {
    const auto found = session.query("SELECT version FROM schema_version");
    if (!found) return found.error();
    if (PQntuples(found->get()) != 1) return Error{ErrorKind::Corruption, "schema_version has not one row"};
    return static_cast<std::size_t>(std::strtoull(PQgetvalue(found->get(), 0, 0), nullptr, 10));
}

Status bring_up_to_date(Session& session, const std::string& schema) {
    // The same number in every program; released with the transaction.
    Status alone = session.run("SELECT pg_advisory_xact_lock(1346786132)");
    if (!alone) return alone;
    Status made = session.run("CREATE SCHEMA IF NOT EXISTS " + schema +
                              "; CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL); "
                              "INSERT INTO schema_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM schema_version)");
    if (!made) return made;
    const auto version = version_of(session);
    if (!version) return version.error();
    for (std::size_t next = *version; next < kMigrations.size(); ++next) {
        if (Status done = session.run(kMigrations[next]); !done) return done;
        Status stamped = session.run("UPDATE schema_version SET version = " + std::to_string(next + 1));
        if (!stamped) return stamped;
    }
    return {};
}

}  // namespace

Status migrate(Session& session, const std::string& schema) {
    // Looking first takes no right to make anything, and no lock.
    const auto there = session.query("SELECT to_regclass('schema_version') IS NOT NULL");
    if (!there) return there.error();
    if (*PQgetvalue(there->get(), 0, 0) == 't') {
        const auto version = version_of(session);
        if (!version) return version.error();
        if (*version > kMigrations.size()) {
            return Error{ErrorKind::InvalidArgument, "the database was written by a newer Postfleet (version " +
                                                         std::to_string(*version) + ", this one knows " +
                                                         std::to_string(kMigrations.size()) + "); run that one"};
        }
        if (*version == kMigrations.size()) return {};
    }
    if (Status begun = session.begin(); !begun) return begun;
    if (Status done = bring_up_to_date(session, schema); !done) {
        session.roll_back();
        return done;
    }
    return session.commit();
}

}  // namespace postfleet::postgres
