#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "rows.hpp"
#include "tables.hpp"

namespace postfleet::sql_state {

namespace {

std::int64_t microseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// A key whose window is over is as good as new.
std::string claim_statement(std::size_t rows) {
    const std::string is_over = "CASE WHEN idempotency_keys.expires_at <= ? THEN ";
    return "INSERT INTO idempotency_keys (tenant, name, message, claims, is_done, window_us, expires_at) VALUES " +
           tuples(rows, 7) + " ON CONFLICT (tenant, name) DO UPDATE SET message = " + is_over +
           "excluded.message ELSE idempotency_keys.message END, claims = " + is_over +
           "1 ELSE idempotency_keys.claims + 1 END, is_done = " + is_over +
           "0 ELSE idempotency_keys.is_done END, window_us = excluded.window_us, expires_at = excluded.expires_at "
           "RETURNING tenant, name, message, claims, is_done";
}

template <class Bind>
Status for_keys(Connection& database, std::vector<IdempotencyKey> keys, const std::string& sql, Bind&& bind_first) {
    // In one order everywhere, so that two processes do not wait for each other.
    std::sort(keys.begin(), keys.end());
    return for_chunks(keys.size(), [&](std::size_t begin, std::size_t count) {
        return run(database, sql + " (VALUES " + tuples(count, 2) + ")", [&](Statement& statement) {
            bind_first(statement);
            for (std::size_t i = begin; i < begin + count; ++i) {
                statement.bind(std::string_view(keys[i].tenant)).bind(std::string_view(keys[i].key));
            }
        });
    });
}

}  // namespace

Result<std::vector<KeyVerdict>> claim_keys(Connection& database, const std::vector<KeyClaim>& claims, WallTime now) {
    std::map<IdempotencyKey, KeyVerdict> verdicts;
    std::vector<const KeyClaim*> firsts;  // of each key, in the order of the keys
    for (const KeyClaim& claim : claims) {
        if (verdicts.try_emplace(claim.key).second) firsts.push_back(&claim);
    }
    std::sort(firsts.begin(), firsts.end(), [](const auto* a, const auto* b) { return a->key < b->key; });
    const std::int64_t time = to_unix_microseconds(now);
    Status claimed = for_chunks(firsts.size(), [&](std::size_t begin, std::size_t count) {
        std::vector<std::string> ids;  // outlive the statement
        for (std::size_t i = 0; i < count; ++i) ids.push_back(firsts[begin + i]->message.to_string());
        const auto bind = [&](Statement& statement) {
            for (std::size_t i = 0; i < count; ++i) {
                const KeyClaim& claim = *firsts[begin + i];
                statement.bind(std::string_view(claim.key.tenant)).bind(std::string_view(claim.key.key));
                statement.bind(std::string_view(ids[i])).bind(std::int64_t{1}).bind(std::int64_t{0});
                statement.bind(microseconds(claim.window)).bind(time + microseconds(claim.window));
            }
            for (int i = 0; i < 3; ++i) statement.bind(time);
        };
        return each_row(database, claim_statement(count), bind, [&](const Statement& row) -> Status {
            const auto id = MessageId::parse(row.text(2));
            if (!id) return Error{ErrorKind::Corruption, "an idempotency key has no message id"};
            const bool is_new = row.number(3) == 1;
            const bool is_done = row.number(4) != 0;
            verdicts[{row.text(0), row.text(1)}] = {is_new    ? KeyState::New
                                                    : is_done ? KeyState::Done
                                                              : KeyState::Pending,
                                                    *id};
            return {};
        });
    });
    if (!claimed) return claimed.error();
    std::vector<KeyVerdict> out;
    std::set<IdempotencyKey> seen;
    for (const KeyClaim& claim : claims) {
        KeyVerdict verdict = verdicts[claim.key];
        // Twice in one call: the second comes after the first.
        if (!seen.insert(claim.key).second && verdict.state == KeyState::New) verdict.state = KeyState::Pending;
        out.push_back(verdict);
    }
    return out;
}

Status confirm_keys(Connection& database, const std::vector<IdempotencyKey>& keys, WallTime now) {
    return for_keys(database, keys,
                    "UPDATE idempotency_keys SET is_done = 1, expires_at = ? + window_us WHERE (tenant, name) IN",
                    [&](Statement& statement) { statement.bind(to_unix_microseconds(now)); });
}

Status release_keys(Connection& database, const std::vector<IdempotencyKey>& keys) {
    // Who has claimed it a second time may have made its message durable.
    return for_keys(database, keys,
                    "DELETE FROM idempotency_keys WHERE is_done = 0 AND claims = 1 AND (tenant, name) IN",
                    [](Statement&) {});
}

Status forget_keys(Connection& database, WallTime now) {
    // Asked twice: another router may claim one anew between the choice and the deletion.
    const std::int64_t time = to_unix_microseconds(now);
    return run(database,
               "DELETE FROM idempotency_keys WHERE expires_at <= ? AND (tenant, name) IN (SELECT tenant, name FROM "
               "idempotency_keys WHERE expires_at <= ? ORDER BY tenant, name LIMIT 10000)",
               [&](Statement& statement) { statement.bind(time).bind(time); });
}

}  // namespace postfleet::sql_state
