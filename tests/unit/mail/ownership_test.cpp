#include "postfleet/mail/ownership.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;

namespace {

const WallTime kNow(std::chrono::seconds(1'000));
const SenderClaim kMine{.sender = "sender-0", .spool_id = "spool-a", .holder = "host-a:/data"};

SenderRecord held_by_me() {
    SenderRecord record;
    REQUIRE(judge_claim(kMine, record, {}, kNow).granted);
    return record;
}

}  // namespace

TEST_CASE("a free name goes to whoever claims it, and the epoch says that it has another owner") {
    SenderRecord record;
    record.grant.epoch = 4;
    const SenderVerdict verdict = judge_claim(kMine, record, {}, kNow);
    CHECK(verdict.granted);
    CHECK(verdict.grant == SenderGrant{"sender-0", 5, "spool-a", "host-a:/data", kNow});
    CHECK(record.grant == verdict.grant);
}

TEST_CASE("the owner may ask again at no cost, after a restart and with its epoch") {
    SenderRecord record = held_by_me();
    const SenderRecord before = record;
    SenderClaim again = kMine;
    CHECK(judge_claim(again, record, before.grant, kNow + std::chrono::hours(1)).granted);
    again.epoch = 1;
    CHECK(judge_claim(again, record, before.grant, kNow + std::chrono::hours(2)).granted);
    CHECK(record == before);
}

TEST_CASE("[F15] a copy of a spool is refused while the name belongs to the original, wherever it runs") {
    SenderRecord record = held_by_me();
    SenderClaim copy = kMine;
    copy.holder = "host-b:/data";
    const SenderVerdict verdict = judge_claim(copy, record, record.grant, kNow);
    CHECK_FALSE(verdict.granted);
    CHECK(verdict.refusal.find("host-a:/data since 1970-01-01T00:16:40") != std::string::npos);
    CHECK(verdict.refusal.find("copy of that spool, or it was moved to host-b:/data") != std::string::npos);
    CHECK(record.waiting_holder == "host-b:/data");
}

TEST_CASE("[F16] a stopped owner that wakes after a takeover is refused, whatever it claims with") {
    SenderRecord record = held_by_me();
    SenderClaim other{.sender = "sender-0", .spool_id = "spool-b", .holder = "host-b:/data"};
    CHECK_FALSE(judge_claim(other, record, {}, kNow).granted);
    const auto taken = judge_takeover({.sender = "sender-0"}, record, {}, kNow);
    REQUIRE(taken.has_value());
    CHECK(taken->epoch == 2);
    for (const std::uint64_t epoch : {0u, 1u}) {
        SenderClaim awake = kMine;
        awake.epoch = epoch;
        const SenderVerdict verdict = judge_claim(awake, record, {}, kNow);
        CHECK_FALSE(verdict.granted);
        CHECK(verdict.grant.spool_id == "spool-b");
    }
    CHECK(judge_claim(other, record, record.grant, kNow).granted);
}

TEST_CASE("a takeover that moves a spool back and forth makes each former owner's epoch an old one") {
    SenderRecord record = held_by_me();
    REQUIRE(judge_takeover({.sender = "sender-0", .spool_id = "spool-b"}, record, {}, kNow).has_value());
    REQUIRE(judge_takeover({.sender = "sender-0", .spool_id = "spool-a"}, record, {}, kNow).has_value());
    SenderClaim first_life = kMine;
    first_life.epoch = 1;
    const SenderVerdict verdict = judge_claim(first_life, record, record.grant, kNow);
    CHECK_FALSE(verdict.granted);
    CHECK(verdict.refusal.find("has changed hands since epoch 1") != std::string::npos);
    CHECK(judge_claim(kMine, record, record.grant, kNow).granted);
    CHECK(record.grant.holder == "host-a:/data");
}

TEST_CASE("an owner whose name was released does not get it back by asking whether it still has it") {
    SenderRecord record = held_by_me();
    REQUIRE(judge_release(1, record).has_value());
    SenderClaim asks = kMine;
    asks.epoch = 1;
    CHECK_FALSE(judge_claim(asks, record, {}, kNow).granted);
    CHECK(judge_claim(kMine, record, {}, kNow).grant.epoch == 2);
}

TEST_CASE("a name that nobody has cannot be released") {
    SenderRecord record;
    record.grant.sender = "sender-7";
    const Status released = judge_release(3, record);
    REQUIRE_FALSE(released.has_value());
    CHECK(released.error().text == "nobody has the name sender-7");
}

TEST_CASE("senders that the configuration names are listed whether or not anybody ever had their names") {
    std::vector<SenderRecord> records{held_by_me()};
    records.push_back(held_by_me());
    records.back().grant.sender = "old";
    add_named({"sender-0", "sender-O"}, records);
    REQUIRE(records.size() == 3);
    CHECK(records[0].has_virtual_mtas);
    CHECK_FALSE(records[1].has_virtual_mtas);
    CHECK(records[2].grant.sender == "sender-O");
    CHECK(records[2].grant.is_free());
    CHECK(records[2].has_virtual_mtas);
}

TEST_CASE("a takeover for nobody is refused with what to do") {
    SenderRecord record = held_by_me();
    const auto taken = judge_takeover({.sender = "sender-0"}, record, {}, kNow);
    REQUIRE_FALSE(taken.has_value());
    CHECK(taken.error().kind == ErrorKind::NotFound);
    CHECK(taken.error().text.find("start the sender that is to have it first") != std::string::npos);
}
