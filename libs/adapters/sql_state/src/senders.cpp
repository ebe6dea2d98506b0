#include <utility>

#include "rows.hpp"
#include "tables.hpp"

namespace postfleet::sql_state {

namespace {

const std::string kSelect =
    "SELECT name, epoch, spool_id, holder, since, waiting_spool_id, waiting_holder, waiting_since FROM senders";

SenderRecord read_record(const Statement& row) {
    return {.grant = {.sender = row.text(0),
                      .epoch = static_cast<std::uint64_t>(row.number(1)),
                      .spool_id = row.text(2),
                      .holder = row.text(3),
                      .since = from_unix_microseconds(row.number(4))},
            .waiting_spool_id = row.text(5),
            .waiting_holder = row.text(6),
            .waiting_since = from_unix_microseconds(row.number(7))};
}

Result<std::optional<SenderRecord>> find(Connection& database, const std::string& column, const std::string& value) {
    std::optional<SenderRecord> found;
    Status read = each_row(
        database, kSelect + " WHERE " + column + " = ?",
        [&](Statement& statement) { statement.bind(std::string_view(value)); },
        [&](const Statement& row) {
            found = read_record(row);
            return Status();
        });
    if (!read) return read.error();
    return found;
}

// What is known about a name; nothing yet is a record, too.
Result<SenderRecord> record_of(Connection& database, const std::string& sender) {
    auto found = find(database, "name", sender);
    if (!found) return found.error();
    if (*found) return **std::move(found);
    SenderRecord fresh;
    fresh.grant.sender = sender;
    return fresh;
}

Result<std::optional<SenderGrant>> grant_of_spool(Connection& database, const std::string& spool_id) {
    auto found = find(database, "spool_id", spool_id);
    if (!found) return found.error();
    if (!*found) return std::optional<SenderGrant>();
    return std::optional((*found)->grant);
}

Status keep(Connection& database, const SenderRecord& record) {
    return run(database,
               "INSERT INTO senders (name, epoch, spool_id, holder, since, waiting_spool_id, waiting_holder, "
               "waiting_since) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
               "epoch = excluded.epoch, spool_id = excluded.spool_id, holder = excluded.holder, "
               "since = excluded.since, waiting_spool_id = excluded.waiting_spool_id, "
               "waiting_holder = excluded.waiting_holder, waiting_since = excluded.waiting_since",
               [&](Statement& statement) {
                   const SenderGrant& grant = record.grant;
                   statement.bind(std::string_view(grant.sender)).bind(static_cast<std::int64_t>(grant.epoch));
                   statement.bind(std::string_view(grant.spool_id)).bind(std::string_view(grant.holder));
                   statement.bind(to_unix_microseconds(grant.since)).bind(std::string_view(record.waiting_spool_id));
                   statement.bind(std::string_view(record.waiting_holder));
                   statement.bind(to_unix_microseconds(record.waiting_since));
               });
}

Result<SenderVerdict> judge(Connection& database, const SenderClaim& claim, SenderRecord& record, WallTime now) {
    const auto spool = grant_of_spool(database, claim.spool_id);
    if (!spool) return spool.error();
    return judge_claim(claim, record, *spool, now);
}

}  // namespace

Result<SenderVerdict> claim_sender(Connection& database, const SenderClaim& claim, WallTime now) {
    if (claim.sender.empty() || claim.spool_id.empty()) {
        return Error{ErrorKind::InvalidArgument, "a claim names the sender and its spool"};
    }
    auto record = record_of(database, claim.sender);
    if (!record) return record.error();
    // Who asks whether it is still the owner is answered without a write.
    SenderRecord as_it_is = *record;
    auto verdict = judge(database, claim, as_it_is, now);
    if (!verdict || as_it_is == *record) return verdict;
    // Nobody else changes names from here on; what was read before may be old.
    if (const auto alone = count_up(database, kSenderChanges); !alone) return alone.error();
    record = record_of(database, claim.sender);
    if (!record) return record.error();
    verdict = judge(database, claim, *record, now);
    if (!verdict) return verdict;
    if (Status kept = keep(database, *record); !kept) return kept.error();
    return verdict;
}

Status release_sender(Connection& database, const std::string& sender, std::uint64_t epoch) {
    if (const auto alone = count_up(database, kSenderChanges); !alone) return alone.error();
    auto record = record_of(database, sender);
    if (!record) return record.error();
    if (Status released = judge_release(epoch, *record); !released) return released;
    return keep(database, *record);
}

Result<SenderGrant> take_over_sender(Connection& database, const SenderTakeover& takeover, WallTime now) {
    if (const auto alone = count_up(database, kSenderChanges); !alone) return alone.error();
    auto record = record_of(database, takeover.sender);
    if (!record) return record.error();
    const auto heir = heir_of(takeover, *record);
    if (!heir) return heir.error();
    const auto spool = grant_of_spool(database, *heir);
    if (!spool) return spool.error();
    auto grant = judge_takeover(takeover, *record, *spool, now);
    if (!grant) return grant;
    if (Status kept = keep(database, *record); !kept) return kept.error();
    return grant;
}

Result<std::vector<SenderRecord>> list_senders(Connection& database) {
    std::vector<SenderRecord> records;
    Status read = each_row(
        database, kSelect + " ORDER BY name", [](Statement&) {},
        [&](const Statement& row) {
            records.push_back(read_record(row));
            return Status();
        });
    if (!read) return read.error();
    return records;
}

}  // namespace postfleet::sql_state
