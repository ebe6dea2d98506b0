#include "postfleet/mail/ownership.hpp"

#include <utility>

namespace postfleet {

namespace {

// "spool 4f… at mta1:/var/lib/postfleet since 2026-01-01T00:00:00Z (epoch 3)"
std::string owner(const SenderGrant& grant) {
    return "spool " + grant.spool_id + (grant.holder.empty() ? "" : " at " + grant.holder) + " since " +
           format_rfc3339(grant.since) + " (epoch " + std::to_string(grant.epoch) + ")";
}

std::string how_to_take_over(const std::string& sender) {
    return "; stop that one and release the name, or give it to this spool with `postfleet takeover " + sender + "`";
}

void give(SenderRecord& record, std::string spool_id, std::string holder, WallTime now) {
    record.grant.epoch += 1;
    record.grant.spool_id = std::move(spool_id);
    record.grant.holder = std::move(holder);
    record.grant.since = now;
    record.waiting_spool_id.clear();
    record.waiting_holder.clear();
    record.waiting_since = {};
}

SenderVerdict refuse(const SenderClaim& claim, SenderRecord& record, std::string why, WallTime now) {
    record.waiting_spool_id = claim.spool_id;
    record.waiting_holder = claim.holder;
    record.waiting_since = now;
    return {.granted = false, .grant = record.grant, .refusal = std::move(why)};
}

}  // namespace

SenderVerdict judge_claim(const SenderClaim& claim, SenderRecord& record, const std::optional<SenderGrant>& spool,
                          WallTime now) {
    record.grant.sender = claim.sender;
    SenderGrant& grant = record.grant;
    if (spool && spool->sender != claim.sender) {
        return {.granted = false,
                .grant = grant,
                .refusal = "the spool " + claim.spool_id + " belongs to the sender " + spool->sender +
                           (spool->holder.empty() ? "" : " at " + spool->holder) +
                           "; a spool has one name: start it as that one, or start with an empty data directory"};
    }
    const bool is_old = claim.epoch != 0 && claim.epoch != grant.epoch;
    if (grant.is_free()) {
        if (claim.epoch != 0) {
            return refuse(claim, record,
                          "the name " + claim.sender + " was released (epoch " + std::to_string(grant.epoch) +
                              "); restart the sender to claim it anew",
                          now);
        }
        give(record, claim.spool_id, claim.holder, now);
        return {.granted = true, .grant = grant, .refusal = {}};
    }
    if (grant.spool_id != claim.spool_id) {
        const char* verb = claim.epoch != 0 ? " was taken over by the " : " belongs to the ";
        return refuse(claim, record, "the name " + claim.sender + verb + owner(grant) + how_to_take_over(claim.sender),
                      now);
    }
    if (!grant.holder.empty() && grant.holder != claim.holder) {
        return refuse(claim, record,
                      "the name " + claim.sender + " belongs to the " + owner(grant) +
                          ", and this is a copy of that spool, or it was moved to " + claim.holder +
                          ". If it was moved" + how_to_take_over(claim.sender).substr(1),
                      now);
    }
    if (is_old) {
        return refuse(claim, record,
                      "the name " + claim.sender + " has changed hands since epoch " + std::to_string(claim.epoch) +
                          ": it belongs to the " + owner(grant) + "; restart the sender",
                      now);
    }
    grant.holder = claim.holder;
    return {.granted = true, .grant = grant, .refusal = {}};
}

void add_named(const std::set<std::string>& named, std::vector<SenderRecord>& records) {
    std::set<std::string> missing = named;
    for (SenderRecord& record : records) record.has_virtual_mtas = missing.erase(record.grant.sender) > 0;
    for (const std::string& name : missing) {
        SenderRecord record{.grant = {}, .waiting_spool_id = {}, .waiting_holder = {}, .has_virtual_mtas = true};
        record.grant.sender = name;
        records.push_back(std::move(record));
    }
}

Status judge_release(std::uint64_t epoch, SenderRecord& record) {
    const bool is_last = record.grant.epoch == epoch && epoch != 0;
    if (record.grant.is_free() && is_last) return {};  // again: who released it has not heard that it is done
    if (record.grant.is_free()) return Error{ErrorKind::NotFound, "nobody has the name " + record.grant.sender};
    if (!is_last) {
        return Error{ErrorKind::NotFound, "the name " + record.grant.sender + " is not held with epoch " +
                                              std::to_string(epoch) + " but with " +
                                              std::to_string(record.grant.epoch)};
    }
    record.grant.spool_id.clear();
    record.grant.holder.clear();
    return {};
}

Result<std::string> heir_of(const SenderTakeover& takeover, const SenderRecord& record) {
    if (!takeover.spool_id.empty()) return takeover.spool_id;
    if (!record.waiting_spool_id.empty()) return record.waiting_spool_id;
    return Error{ErrorKind::NotFound, "nobody else has asked for the name " + takeover.sender +
                                          "; start the sender that is to have it first, or name its spool"};
}

Result<SenderGrant> judge_takeover(const SenderTakeover& takeover, SenderRecord& record,
                                   const std::optional<SenderGrant>& spool, WallTime now) {
    const auto heir = heir_of(takeover, record);
    if (!heir) return heir.error();
    if (spool && spool->sender != takeover.sender) {
        return Error{ErrorKind::AlreadyExists,
                     "the spool " + *heir + " belongs to the sender " + spool->sender + "; a spool has one name"};
    }
    record.grant.sender = takeover.sender;
    give(record, *heir, *heir == record.waiting_spool_id ? std::string(record.waiting_holder) : "", now);
    return record.grant;
}

}  // namespace postfleet
