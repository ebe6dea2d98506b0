#include <algorithm>
#include <map>
#include <utility>

#include "rows.hpp"
#include "tables.hpp"

namespace postfleet::sql_state {

namespace {

const std::string kColumns = "tenant, target, reason, source, added_at, expires_at";

Suppression read_suppression(const Statement& row) {
    return {.key = {.tenant = row.text(0), .target = row.text(1)},
            .reason = row.text(2),
            .source = row.text(3),
            .added_at = from_unix_microseconds(row.number(4)),
            .expires_at = read_time(row.maybe_number(5))};
}

void bind_key(Statement& statement, const SuppressionKey& key) {
    statement.bind(std::string_view(key.tenant)).bind(std::string_view(key.target));
}

// What could cover a recipient, the nearest first.
std::vector<SuppressionKey> keys_of(const SuppressionQuestion& question) {
    const std::string address = suppression_target(question.address);
    const std::string domain(domain_of_target(address));
    std::vector<SuppressionKey> keys{{question.tenant, address}, {question.tenant, domain}};
    if (!question.tenant.empty()) {
        keys.push_back({"", address});
        keys.push_back({"", domain});
    }
    return keys;
}

}  // namespace

Status add_suppressions(Connection& database, const std::vector<Suppression>& suppressions) {
    // The last of a key counts, and all processes go in one order, so that none waits for another that waits for it.
    std::map<SuppressionKey, const Suppression*> by_key;
    for (const Suppression& suppression : suppressions) {
        by_key[{suppression.key.tenant, suppression_target(suppression.key.target)}] = &suppression;
    }
    std::vector<std::pair<SuppressionKey, const Suppression*>> rows(by_key.begin(), by_key.end());
    return for_chunks(rows.size(), [&](std::size_t begin, std::size_t count) {
        return run(database,
                   "INSERT INTO suppressions (" + kColumns + ") VALUES " + tuples(count, 6) +
                       " ON CONFLICT (tenant, target) DO UPDATE SET reason = excluded.reason, source = "
                       "excluded.source, added_at = excluded.added_at, expires_at = excluded.expires_at",
                   [&](Statement& statement) {
                       for (std::size_t i = begin; i < begin + count; ++i) {
                           const auto& [key, suppression] = rows[i];
                           bind_key(statement, key);
                           statement.bind(std::string_view(suppression->reason));
                           statement.bind(std::string_view(suppression->source));
                           statement.bind(to_unix_microseconds(suppression->added_at));
                           statement.bind(stored(suppression->expires_at));
                       }
                   });
    });
}

Status remove_suppressions(Connection& database, const std::vector<SuppressionKey>& keys) {
    std::vector<SuppressionKey> rows;
    for (const SuppressionKey& key : keys) rows.push_back({key.tenant, suppression_target(key.target)});
    std::sort(rows.begin(), rows.end());
    return for_chunks(rows.size(), [&](std::size_t begin, std::size_t count) {
        return run(database, "DELETE FROM suppressions WHERE (tenant, target) IN (VALUES " + tuples(count, 2) + ")",
                   [&](Statement& statement) {
                       for (std::size_t i = begin; i < begin + count; ++i) bind_key(statement, rows[i]);
                   });
    });
}

Result<std::vector<std::optional<Suppression>>> find_suppressions(Connection& database,
                                                                  const std::vector<SuppressionQuestion>& questions,
                                                                  WallTime now) {
    std::vector<SuppressionKey> keys;
    for (const SuppressionQuestion& question : questions) {
        for (SuppressionKey& key : keys_of(question)) keys.push_back(std::move(key));
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::map<SuppressionKey, Suppression> found;
    Status read = for_chunks(keys.size(), [&](std::size_t begin, std::size_t count) {
        return each_row(
            database,
            "SELECT " + kColumns + " FROM suppressions WHERE (tenant, target) IN (VALUES " + tuples(count, 2) +
                ") AND (expires_at IS NULL OR expires_at > ?)",
            [&](Statement& statement) {
                for (std::size_t i = begin; i < begin + count; ++i) bind_key(statement, keys[i]);
                statement.bind(to_unix_microseconds(now));
            },
            [&](const Statement& row) {
                Suppression suppression = read_suppression(row);
                const SuppressionKey key = suppression.key;
                found.emplace(key, std::move(suppression));
                return Status();
            });
    });
    if (!read) return read.error();
    std::vector<std::optional<Suppression>> answers;
    for (const SuppressionQuestion& question : questions) {
        std::optional<Suppression> answer;
        for (const SuppressionKey& key : keys_of(question)) {
            if (const auto covers = found.find(key); !answer && covers != found.end()) answer = covers->second;
        }
        answers.push_back(std::move(answer));
    }
    return answers;
}

Result<std::vector<Suppression>> list_suppressions(Connection& database, const SuppressionPage& page, WallTime now) {
    std::vector<Suppression> out;
    Status read = each_row(
        database,
        "SELECT " + kColumns +
            " FROM suppressions WHERE (tenant, target) > (?, ?) AND "
            "(expires_at IS NULL OR expires_at > ?) ORDER BY tenant, target LIMIT ?",
        [&](Statement& statement) {
            bind_key(statement, page.after);
            statement.bind(to_unix_microseconds(now)).bind(static_cast<std::int64_t>(page.limit));
        },
        [&](const Statement& row) {
            out.push_back(read_suppression(row));
            return Status();
        });
    if (!read) return read.error();
    return out;
}

}  // namespace postfleet::sql_state
