// A submission becomes a message by the rules of a listener.
#include "submission_fixture.hpp"

namespace postfleet::ingest {
namespace {

struct World : SubmissionOutside, SubmissionWorld {
    explicit World(const std::string& text = kQueueConfiguration) : SubmissionWorld(*this, text) {}
    const AcceptedMessage& only() {
        run();
        INFO(reason());
        REQUIRE(SubmissionOutside::handover.accepted.size() == 1);
        return SubmissionOutside::handover.accepted.front();
    }
};

std::string variables(const Recipient& recipient) {
    std::string out;
    for (const auto& [name, value] : recipient.variables.entries()) {
        out.append(name).append("=").append(value).append(";");
    }
    return out;
}

}  // namespace

TEST_CASE("a submission is durable mail before it is acknowledged", "[ingest][submission]") {
    World world;
    world.SubmissionOutside::handover.mode = support::FakeHandover::Mode::Hold;
    world.submit_json("b@dst.test", R"(, "job": "orders", "metadata": {"customer": 7}, "tags": ["x"])");
    world.run();
    CHECK(world.held() == 1);
    CHECK(world.SubmissionOutside::handover.held() == 1);
    world.SubmissionOutside::handover.release({});
    world.run();
    CHECK(world.held() == 0);
    CHECK(world.broker.waiting("submit").empty());
    CHECK(world.submissions.accepted.value() == 1);
    const Message& message = *world.only().message;
    CHECK(message.reverse_path == "a@src.test");
    CHECK(message.tenant == "acme");
    CHECK(message.listener == "shop");
    CHECK(message.job == "orders");
    CHECK(message.client_address.empty());
    CHECK(message.metadata == std::vector<std::pair<std::string, std::string>>{{"customer", "7"}, {"tags", "x"}});
    CHECK(world.only().tasks.front().virtual_mta == "tx-2");
    CHECK(message.prepended_header.starts_with("Received: by mx.example with local id "));
}

TEST_CASE("bindings know a submission's job, and it can name its virtual MTA or pool itself", "[ingest][submission]") {
    {
        World world;
        world.submit_json("b@dst.test", R"(, "job": "autumn")");
        CHECK(world.only().tasks.front().virtual_mta == "promo");
    }
    {
        World world;
        world.submit_json("b@dst.test", R"(, "job": "autumn", "pool": "bulk", "priority": 2)");
        CHECK(world.only().tasks.front().pool == "bulk");
        CHECK(world.only().tasks.front().priority == Priority::High);
    }
    World world;
    world.submit_json("b@dst.test", R"(, "virtual_mta": "tx-3")");
    world.run();
    CHECK(world.reason().find("tx-3") != std::string::npos);
}

TEST_CASE("a draft is composed, with the message's own id and date", "[ingest][submission]") {
    World world;
    world.submit(R"({"from": "Shop <a@src.test>", "to": ["b@dst.test", "c@other.test"], "bcc": "d@dst.test",
                     "subject": "Grüße", "text": "Hello"})");
    const AcceptedMessage& accepted = world.only();
    CHECK(accepted.tasks.size() == 2);
    const std::string id = accepted.message->id.to_string();
    CHECK(accepted.last_chunk->find("Message-ID: <" + id + "@mx.example>\r\n") != std::string::npos);
    CHECK(accepted.message->header_message_id == "<" + id + "@mx.example>");
    CHECK(accepted.last_chunk->find("d@dst.test") == std::string::npos);
}

TEST_CASE("times of a submission are those of its message", "[ingest][submission]") {
    World world;
    const WallTime now = world.executor.wall_now();
    const auto seconds = [&](int more) { return std::to_string(to_unix_microseconds(now) / 1'000'000 + more); };
    world.submit_json("b@dst.test", R"(, "send_at": )" + seconds(3600) + R"(, "expires_at": )" + seconds(7200));
    const AcceptedMessage& accepted = world.only();
    CHECK(accepted.tasks.front().due == *accepted.message->send_at);
    CHECK(*accepted.message->send_at - now > std::chrono::minutes(59));
    CHECK(accepted.tasks.front().expires_at == accepted.message->expires_at);
}

TEST_CASE("each recipient can have a text of its own", "[ingest][submission][merge]") {
    World world;
    world.submit(R"({"from": "a@src.test", "subject": "Hello [name]", "text": ".\n[name]:\n..\n[note]",
                     "data": {"note": "a\"b\\c\nd"},
                     "recipients": [{"to": "b@dst.test", "variables": {"name": "Bob"}},
                                    {"to": "c@dst.test", "variables": {"name": "Carol", "note": "-"}}]})");
    const AcceptedMessage& accepted = world.only();
    REQUIRE(accepted.tasks.size() == 2);
    CHECK(variables(accepted.tasks[0].recipients[0]) == "name=Bob;note=a\"b\\c\r\nd;");
    CHECK(variables(accepted.tasks[1].recipients[0]) == "name=Carol;note=-;");
    CHECK(accepted.last_chunk->ends_with("\r\n\r\n.\r\n[name]:\r\n..\r\n[note]\r\n"));
    CHECK(accepted.message->merge.parts.size() == 1);
}

TEST_CASE("delivery status notifications can be asked for", "[ingest][submission][RFC3461]") {
    World world;
    world.submit_json("b@dst.test", R"(, "dsn": {"notify": "SUCCESS,FAILURE", "ret": "HDRS",
                                       "orcpt": "rfc822;b+x@dst.test", "envid": "a b+c"})");
    const AcceptedMessage& accepted = world.only();
    CHECK(accepted.message->envelope_id == "a b+c");
    CHECK(accepted.message->return_content == ReturnContent::Headers);
    const Recipient& recipient = accepted.tasks[0].recipients[0];
    CHECK(recipient.notify == (kNotifySuccess | kNotifyFailure));
    CHECK(recipient.original == "rfc822;b+x@dst.test");
}

TEST_CASE("a submission of many chunks is stored as it is fed", "[ingest][submission]") {
    std::string text = kQueueConfiguration;
    text.replace(text.find("64KiB"), 5, "4MiB");
    World world(text);
    BrokerMessage as;
    as.content_type = "message/rfc822";
    as.headers = {{"mail-from", "a@src.test"}, {"rcpt-to", "b@dst.test"}};
    std::string body = "From: a@src.test\n\n";
    for (int line = 0; line < 20'000; ++line) body += "This is one of many lines of text.\n";
    std::optional<SubmissionOutcome> outcome;
    world.desk.submit(*submission::parse_message(body, as.headers), {.name = "shop", .rules = world.rules},
                      [&](SubmissionOutcome&& got) { outcome = std::move(got); });
    world.run();
    REQUIRE(outcome);
    CHECK(outcome->problem.empty());
    REQUIRE(outcome->kind == SubmissionOutcome::Kind::Accepted);
    CHECK(world.only().message->content_chunks == 3);
    CHECK(world.only().message->size_octets == body.size() + 20'002);
}

TEST_CASE("rights of the queue's tenant hold for envelope and header", "[ingest][submission][SEC-8]") {
    World world;
    world.submit(
        R"({"mail_from": "a@elsewhere.test", "recipient": "b@dst.test", "mime": "From: a@src.test\r\n\r\nHi"})");
    world.submit(
        R"({"mail_from": "a@src.test", "recipient": "b@dst.test", "mime": "From: a@elsewhere.test\r\n\r\nHi"})");
    world.run();
    CHECK(world.SubmissionOutside::handover.accepted.empty());
    CHECK(world.reason(0).find("You may not send as elsewhere.test") != std::string::npos);
    CHECK(world.reason(1).find("elsewhere.test") != std::string::npos);
}

TEST_CASE("all recipients are taken, or none, and those that are wrong are named", "[ingest][submission]") {
    World world;
    world.submit(R"({"mail_from": "a@src.test", "recipients": ["b@dst.test", "c", "d@dst.test", "e@@dst.test"],
                     "mime": "From: a@src.test\r\n\r\nHi"})");
    world.run();
    CHECK(world.SubmissionOutside::handover.accepted.empty());
    CHECK(world.reason().find("recipients[1]: \"c\"") != std::string::npos);
    CHECK(world.reason().find("recipients[3]: \"e@@dst.test\"") != std::string::npos);
}

TEST_CASE("a submission of a user has the rights, the tenant and the keys of that user", "[ingest][submission]") {
    World world;
    auto user = std::make_shared<KnownUser>();
    user->name = "robot";
    user->tenant = "other";
    user->virtual_mta = "promo";
    user->send_as = {"own.test"};
    const auto submit = [&](const std::string& domain, std::shared_ptr<const KnownUser> who) {
        Submission submission;
        submission.mail_from = "a@" + domain;
        submission.recipients.push_back({.address = "b@dst.test"});
        submission.content = "From: a@" + domain + "\r\n\r\nHi\r\n";
        submission.idempotency_key = "same";
        SubmissionOutcome outcome;
        world.desk.submit(std::move(submission), {.kind = "peer", .name = "x", .sends_as = who, .rules = world.rules},
                          [&](SubmissionOutcome&& made) { outcome = std::move(made); });
        world.run();
        return outcome;
    };
    const auto refused = submit("src.test", user);
    CHECK(refused.kind == SubmissionOutcome::Kind::Refused);
    CHECK(refused.problem.find("You may not send as src.test") != std::string::npos);
    REQUIRE(submit("own.test", user).kind == SubmissionOutcome::Kind::Accepted);
    const AcceptedMessage& taken = world.only();
    CHECK(taken.message->user == "robot");
    CHECK(taken.message->tenant == "other");
    CHECK(taken.tasks.front().virtual_mta == "promo");
    CHECK(submit("own.test", user).kind == SubmissionOutcome::Kind::Duplicate);
    // The same key of another tenant is another one.
    CHECK(submit("src.test", nullptr).kind == SubmissionOutcome::Kind::Accepted);
}

}  // namespace postfleet::ingest
