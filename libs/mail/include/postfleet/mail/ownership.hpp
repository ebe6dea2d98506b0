// Ownership: which spool a sender's name belongs to (DESIGN section 5), and the rules by which it changes hands.
//
//   free ──claim──▶ held by a spool at a place ──release──▶ free
//                    │ claim of the same spool and place: granted again, the epoch stays
//                    │ any other claim: refused and remembered; takeover ──▶ held by that one
//
// The epoch grows whenever the name gets another owner, never else. A spool can have one name only. The same spool at
// another place is a copy of it, or it was moved: that cannot be told apart, so it is refused.
//
// Threads: value types and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet {

struct SenderClaim {
    std::string sender;
    std::string spool_id;     // of the spool directory
    std::string holder;       // the place of the process: "host:/var/lib/postfleet"
    std::uint64_t epoch = 0;  // that it has been granted before; 0: it has just started
};

struct SenderGrant {
    std::string sender;
    std::uint64_t epoch = 0;
    std::string spool_id;  // empty: nobody has it
    std::string holder;    // empty: not known before its first claim
    WallTime since{};
    bool is_free() const { return spool_id.empty(); }
    friend bool operator==(const SenderGrant&, const SenderGrant&) = default;
};

// All that is known about a name.
struct SenderRecord {
    SenderGrant grant;
    // Who was refused last.
    std::string waiting_spool_id, waiting_holder;
    WallTime waiting_since{};
    bool has_virtual_mtas = false;  // the active configuration gives it mail, whether or not anybody ever had the name
    friend bool operator==(const SenderRecord&, const SenderRecord&) = default;
};

struct SenderTakeover {
    std::string sender;
    std::string spool_id;  // empty: of the one that was refused last
};

struct SenderVerdict {
    bool granted = false;
    SenderGrant grant;    // the claimant's, or whose the name is
    std::string refusal;  // for people: who has it since when, and how to take over; empty: granted
};

// `record`: of the name that is claimed, as it becomes; `spool`: what the claimant's spool holds now, if anything.
SenderVerdict judge_claim(const SenderClaim& claim, SenderRecord& record, const std::optional<SenderGrant>& spool,
                          WallTime now);
// `named`: the senders of the configuration; who is not among the records is added.
void add_named(const std::set<std::string>& named, std::vector<SenderRecord>& records);
// NotFound: held with another epoch, or by nobody.
Status judge_release(std::uint64_t epoch, SenderRecord& record);
// Of `takeover`, the spool that is to have the name; NotFound: nobody was refused, and none is named.
Result<std::string> heir_of(const SenderTakeover& takeover, const SenderRecord& record);
// `spool`: what that spool holds now. AlreadyExists: another name.
Result<SenderGrant> judge_takeover(const SenderTakeover& takeover, SenderRecord& record,
                                   const std::optional<SenderGrant>& spool, WallTime now);

}  // namespace postfleet
