#include <utility>

#include "rows.hpp"
#include "tables.hpp"

namespace postfleet::sql_state {

namespace {

constexpr std::int64_t kKeptSnapshots = 10;  // to be looked at, should a new one turn out wrong

// Without its files.
Result<std::optional<ConfigurationSnapshot>> newest(Connection& database) {
    std::optional<ConfigurationSnapshot> found;
    Status read = each_row(
        database, "SELECT epoch, version, activated_at, activated_by FROM configurations ORDER BY epoch DESC LIMIT 1",
        [](Statement&) {},
        [&](const Statement& row) {
            found = ConfigurationSnapshot{.epoch = static_cast<std::uint64_t>(row.number(0)),
                                          .version = row.text(1),
                                          .activated_at = from_unix_microseconds(row.number(2)),
                                          .activated_by = row.text(3)};
            return Status();
        });
    if (!read) return read.error();
    return found;
}

Status keep_files(Connection& database, std::uint64_t epoch, const ConfigurationFiles& files) {
    for (const auto& [name, content] : files) {
        Status kept = run(database, "INSERT INTO configuration_files (epoch, name, content) VALUES (?, ?, ?)",
                          [&](Statement& statement) {
                              statement.bind(static_cast<std::int64_t>(epoch)).bind(std::string_view(name));
                              statement.bind(std::string_view(content));
                          });
        if (!kept) return kept;
    }
    return {};
}

Status forget_old(Connection& database, std::uint64_t epoch) {
    for (const char* table : {"configurations", "configuration_files"}) {
        Status forgotten =
            run(database, std::string("DELETE FROM ") + table + " WHERE epoch <= ?",
                [&](Statement& statement) { statement.bind(static_cast<std::int64_t>(epoch) - kKeptSnapshots); });
        if (!forgotten) return forgotten;
    }
    return {};
}

}  // namespace

Result<std::uint64_t> activate(Connection& database, const ConfigurationSnapshot& snapshot) {
    auto before = newest(database);
    if (!before) return before.error();
    if (*before && (*before)->version == snapshot.version) return (*before)->epoch;
    const auto epoch = count_up(database, kActivations);
    if (!epoch) return epoch.error();
    // Another process may have activated the same while this one waited for the counter.
    before = newest(database);
    if (!before) return before.error();
    if (*before && (*before)->version == snapshot.version) return (*before)->epoch;
    Status kept = run(
        database, "INSERT INTO configurations (epoch, version, activated_at, activated_by) VALUES (?, ?, ?, ?)",
        [&](Statement& statement) {
            statement.bind(static_cast<std::int64_t>(*epoch)).bind(std::string_view(snapshot.version));
            statement.bind(to_unix_microseconds(snapshot.activated_at)).bind(std::string_view(snapshot.activated_by));
        });
    if (!kept) return kept.error();
    if (Status files = keep_files(database, *epoch, snapshot.files); !files) return files.error();
    if (Status old = forget_old(database, *epoch); !old) return old.error();
    return *epoch;
}

Result<std::optional<ConfigurationSnapshot>> active(Connection& database, std::uint64_t known_epoch) {
    auto found = newest(database);
    if (!found) return found.error();
    if (!*found || (*found)->epoch == known_epoch) return std::optional<ConfigurationSnapshot>();
    ConfigurationSnapshot& snapshot = **found;
    Status read = each_row(
        database, "SELECT name, content FROM configuration_files WHERE epoch = ?",
        [&](Statement& statement) { statement.bind(static_cast<std::int64_t>(snapshot.epoch)); },
        [&](const Statement& row) {
            snapshot.files[row.text(0)] = row.text(1);
            return Status();
        });
    if (!read) return read.error();
    return found;
}

}  // namespace postfleet::sql_state
