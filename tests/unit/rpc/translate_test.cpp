#include "translate.hpp"

#include <catch2/catch.hpp>

#include "postfleet/support/newer_peer.hpp"

using namespace postfleet;
using namespace postfleet::rpc;

namespace {

MessageId some_id() { return IdGenerator(7).next(WallTime(std::chrono::seconds(7))); }

enum class Peer { Same, Newer };

template <class Message, class Value>
Value there_and_back(const Value& value, Peer peer) {
    Message message;
    write(value, message);
    if (peer == Peer::Newer) support::add_unknown_fields(message);
    Message parsed;
    REQUIRE(parsed.ParseFromString(message.SerializeAsString()));
    return read(parsed).value();
}

}  // namespace

TEST_CASE("orders, grants, claims and configurations come back as they were written, also by a newer peer") {
    const Peer peer = GENERATE(Peer::Same, Peer::Newer);
    Order order;
    order.id = OrderId{7};
    order.action = OrderAction::Move;
    order.which = {.queue = "q",
                   .virtual_mta = "v",
                   .site = "s",
                   .domain = "d",
                   .tenant = "t",
                   .job = "j",
                   .recipient = "r\xff",
                   .reverse_path = "p",
                   .message = some_id(),
                   .everything = true,
                   .pool = "o",
                   .accepted_before = WallTime(std::chrono::seconds(1))};
    order.text = "to";
    order.who = "root";
    order.why = std::string("\0 why", 5);
    order.given_at = WallTime(std::chrono::seconds(2));
    order.expires_at = WallTime(std::chrono::seconds(3));
    order.finished_at = WallTime(std::chrono::seconds(4));
    order.recipients = 9;
    CHECK(there_and_back<v1::OrderMessage>(order, peer) == order);
    const OrderChanges changes{.revision = 5, .complete = true, .changed = {order}, .removed = {OrderId{2}}};
    CHECK(there_and_back<v1::OrderChangesMessage>(changes, peer) == changes);
    const SenderRecord record{{"s", 3, "spool", "host", WallTime(std::chrono::seconds(5))}, "w", "h", {}};
    CHECK(there_and_back<v1::SenderRecordMessage>(record, peer) == record);
    const ConfigurationSnapshot snapshot{3, "v", {{"a.yaml", "x: \xff\n"}}, WallTime(std::chrono::seconds(6)), "me"};
    CHECK(there_and_back<v1::ConfigSnapshot>(snapshot, peer) == snapshot);
    const KeyClaim claim =
        there_and_back<v1::KeyClaimMessage>(KeyClaim{{"t", "k"}, some_id(), std::chrono::hours(2)}, peer);
    CHECK(claim.key == IdempotencyKey{"t", "k"});
    CHECK(claim.message == some_id());
    CHECK(claim.window == std::chrono::hours(2));
    const SenderVerdict granted{true, record.grant, "no"};
    const auto verdict = there_and_back<v1::SenderClaimResponse>(granted, peer);
    CHECK(verdict.granted);
    CHECK(verdict.grant == record.grant);
    CHECK(verdict.refusal == "no");
    CHECK(there_and_back<v1::KeyVerdictMessage>(KeyVerdict{KeyState::Done, some_id()}, peer).message == some_id());
    const Member member = there_and_back<v1::MemberMessage>(Member{"sender", "s0", "127.0.0.1:1"}, peer);
    CHECK(member.service + member.name + member.address == "senders0127.0.0.1:1");
}

TEST_CASE("what only a newer peer knows to order or to say is refused, not taken for something else") {
    v1::OrderChangesMessage changes;
    changes.set_revision(9);
    changes.add_changed()->set_action(99);
    CHECK(read(changes).error().text.find("action: there is no 99") != std::string::npos);
    v1::KeyVerdictMessage verdict;
    verdict.set_message_id(std::string(16, '\1'));
    verdict.set_state(static_cast<v1::KeyStateCode>(99));
    CHECK(read(verdict).error().text.find("state: there is no 99") != std::string::npos);
}

TEST_CASE("what cannot be is refused with the field's name") {
    v1::OrderMessage order;
    CHECK(read(order).error().text.find("action") != std::string::npos);
    order.set_action(1);
    order.set_message_id("short");
    CHECK(read(order).error().text.find("message_id") != std::string::npos);
    order.clear_message_id();
    order.set_why(std::string(kMostText + 1, 'x'));
    CHECK(read(order).error().text.find("longer") != std::string::npos);
    order.clear_why();
    order.set_given_at(std::numeric_limits<std::int64_t>::max());
    CHECK(read(order).error().text.find("given_at") != std::string::npos);
    v1::Key key;
    CHECK_FALSE(read(key).has_value());
    key.set_key(std::string(kMostKey + 1, 'x'));
    CHECK_FALSE(read(key).has_value());
    v1::KeyVerdictMessage verdict;
    verdict.set_message_id(std::string(16, '\1'));
    CHECK(read(verdict).error().text.find("state") != std::string::npos);
    v1::ConfigSnapshot snapshot;
    snapshot.add_files()->set_name("a");
    snapshot.add_files()->set_name("a");
    CHECK(read(snapshot).error().text.find("twice") != std::string::npos);
    v1::CheckRecipientsRequest questions;
    questions.add_recipients();
    questions.add_recipients();
    CHECK_FALSE(read(questions, 1).has_value());
}
