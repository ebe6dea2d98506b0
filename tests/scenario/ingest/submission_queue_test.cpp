// What a consumer of a submission queue does when things go wrong.
#include <set>

#include "submission_fixture.hpp"

namespace postfleet::ingest {
namespace {

using support::FakeBroker;
using support::FakeHandover;

struct Outside : SubmissionOutside {
    std::size_t accepted() const { return handover.accepted.size(); }
    std::string recipients() const {
        std::string out;
        for (const AcceptedMessage& each : handover.accepted) out += each.tasks[0].recipients[0].address + " ";
        return out;
    }
};

BrokerMessage named(std::string message_id) {
    BrokerMessage message;
    message.message_id = std::move(message_id);
    return message;
}

const std::string kBody =
    R"({"mail_from": "a@src.test", "recipient": "b@dst.test", "mime": "From: a@src.test\r\n\r\nHi\r\n"})";

}  // namespace

TEST_CASE("poison goes to the rejected queue with a reason for people, and its neighbours are untouched",
          "[ingest][submission][F27]") {
    Outside out;
    SubmissionWorld world(out);
    out.submit_json("b@dst.test");
    out.submit("{\"subject\": 7}", named("poison"));
    out.submit_json("c@dst.test");
    world.run();
    CHECK(out.recipients() == "b@dst.test c@dst.test ");
    CHECK(out.reason() == "subject: must be a text");
    const BrokerMessage rejected = out.broker.waiting("rejected").front();
    CHECK(*rejected.body == "{\"subject\": 7}");
    CHECK(rejected.message_id == "poison");
    CHECK(rejected.content_type == "application/json");
    CHECK(world.held() == 0);
    CHECK(world.submissions.rejected.value() == 1);
}

TEST_CASE("what is rejected is acknowledged only when it is confirmed there", "[ingest][submission][F27]") {
    Outside out;
    SubmissionWorld world(out);
    out.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    out.submit("poison");
    out.broker.set_confirms(FakeBroker::Confirms::Hold);
    world.run();
    CHECK(world.held() == 1);
    out.broker.release_confirms();
    world.run();
    CHECK(world.held() == 0);
}

TEST_CASE("while nothing can be rejected, nothing is lost and nothing more is taken", "[ingest][submission]") {
    Outside out;
    SubmissionWorld world(out);
    out.broker.remove_queue("rejected");
    out.submit("poison");
    world.run();
    CHECK(world.consumer->is_paused());
    out.submit_json("b@dst.test");
    world.pass(std::chrono::seconds(5));
    CHECK(out.accepted() == 0);
    CHECK(world.submissions.pauses.value() == 1);
    out.broker.declare_queue("rejected");
    world.pass(std::chrono::seconds(2));
    CHECK(out.broker.waiting("rejected").size() == 1);
    CHECK(out.accepted() == 1);
    CHECK_FALSE(world.consumer->is_paused());
    CHECK(world.held() == 0);
}

TEST_CASE("while the store takes nothing submissions stay where they are, and it goes on by itself",
          "[ingest][submission][F10]") {
    Outside out;
    SubmissionWorld world(out);
    out.handover.open = {.open = false, .reason = "the spool is latched"};
    for (int i = 0; i < 20; ++i) out.submit_json("b@dst.test");
    world.run();
    world.pass(std::chrono::minutes(10));
    CHECK(out.accepted() == 0);
    CHECK(out.broker.waiting("rejected").empty());
    CHECK(world.held() + out.broker.waiting("submit").size() == 20);
    CHECK(world.submissions.pauses.value() == 1);
    out.handover.open = {};
    world.pass(std::chrono::seconds(2));
    CHECK(out.accepted() == 20);
    CHECK(world.held() == 0);
    CHECK(out.broker.waiting("submit").empty());
}

TEST_CASE("a hand-over that fails is tried again under the same message id, one first", "[ingest][submission]") {
    Outside out;
    SubmissionWorld world(out);
    out.handover.mode = FakeHandover::Mode::Hold;
    for (int i = 0; i < 3; ++i) out.submit_json("b" + std::to_string(i) + "@dst.test");
    world.run();
    CHECK(out.handover.held() == 3);
    for (int i = 0; i < 3; ++i) out.handover.release(Error{ErrorKind::Unavailable, "latched"});
    world.run();
    CHECK(out.accepted() == 0);
    CHECK(world.held() == 3);
    world.pass(std::chrono::seconds(1));
    CHECK(out.handover.held() == 1);
    out.handover.release({});
    world.run();
    CHECK(out.handover.held() == 2);
    out.handover.release({});
    out.handover.release({});
    world.run();
    CHECK(out.accepted() == 3);
    CHECK(world.held() == 0);
}

TEST_CASE("what is lost with the connection is not done twice by who held it", "[ingest][submission][F19]") {
    Outside out;
    SubmissionWorld world(out);
    out.handover.open = {.open = false, .reason = "full"};
    for (int i = 0; i < 5; ++i) out.submit_json("b" + std::to_string(i) + "@dst.test");
    world.run();
    out.broker.lose_connections();
    world.run();
    out.handover.open = {};
    world.pass(std::chrono::seconds(3));
    CHECK(out.accepted() == 5);
    CHECK(world.held() == 0);
}

TEST_CASE("a loss while one is tried does not stop the queue", "[ingest][submission]") {
    Outside out;
    SubmissionWorld world(out);
    out.handover.mode = FakeHandover::Mode::Hold;
    out.submit_json("b@dst.test");
    world.run();
    out.handover.release(Error{ErrorKind::Unavailable, "latched"});
    world.run();
    world.pass(std::chrono::seconds(1));
    REQUIRE(out.handover.held() == 1);
    out.broker.lose_connections();
    world.run();
    out.handover.release(Error{ErrorKind::Unavailable, "latched"});
    out.handover.mode = FakeHandover::Mode::Posted;
    world.pass(std::chrono::seconds(3));
    CHECK(out.accepted() == 1);
    CHECK(world.held() == 0);
}

TEST_CASE("who submits again under the same key sends once", "[ingest][submission][idempotency]") {
    Outside out;
    const std::string key = R"(, "idempotency_key": "order-17")";
    {
        SubmissionWorld world(out);
        out.submit_json("b@dst.test", key);
        out.submit_json("b@dst.test", key);  // while the first is under way
        world.run();
        out.submit_json("b@dst.test", key);
        world.run();
        CHECK(world.submissions.duplicates.value() == 2);
        CHECK(world.held() == 0);
    }
    SubmissionWorld after_a_restart(out, kQueueConfiguration, 43);
    out.submit_json("b@dst.test", key);
    after_a_restart.run();
    CHECK(out.accepted() == 1);
    out.submit_json("b@dst.test", R"(, "idempotency_key": "order-18")");
    after_a_restart.run();
    CHECK(out.accepted() == 2);
}

TEST_CASE("a key whose process died goes on under the message id that it has", "[ingest][submission][idempotency]") {
    Outside out;
    const MessageId first = *MessageId::parse("01a201d4-2c7d-76d3-838d-da35cedbd19c");
    out.keys.claim({{.key = {"acme", "order-17"}, .message = first}}, {&out.executor, [](auto) {}});
    SubmissionWorld world(out);
    out.submit_json("b@dst.test", R"(, "idempotency_key": "order-17")");
    world.run();
    REQUIRE(out.accepted() == 1);
    CHECK(out.handover.accepted[0].message->id == first);
    CHECK(out.handover.accepted[0].taken_as == first);
}

TEST_CASE("a key whose confirm the routers did not take is confirmed when they do",
          "[ingest][submission][idempotency]") {
    Outside out;
    SubmissionWorld world(out);
    out.handover.mode = FakeHandover::Mode::Hold;
    out.submit_json("b@dst.test", R"(, "idempotency_key": "order-17")");
    world.run();
    out.keys.fail_next({ErrorKind::Unavailable, "the routers are changing"});
    out.handover.release({});
    world.run();
    world.pass(std::chrono::seconds(2));
    out.handover.mode = FakeHandover::Mode::Posted;
    out.submit_json("c@dst.test", R"(, "idempotency_key": "order-17")");  // whatever its body is
    world.run();
    CHECK(out.recipients() == "b@dst.test ");
    CHECK(world.submissions.duplicates.value() == 1);
}

TEST_CASE("keys are told in calls of the size that routers take", "[ingest][submission][idempotency]") {
    struct SlowKeys final : KeyClaims {
        explicit SlowKeys(KeyClaims& with) : keys(with) {}
        void claim(std::vector<KeyClaim> claims, Completion<Result<std::vector<KeyVerdict>>> done) override {
            keys.claim(std::move(claims), std::move(done));
        }
        void confirm(std::vector<IdempotencyKey> given, Completion<Status> done) override {
            most = std::max(most, given.size());
            confirmed += given.size();
            if (!is_slow) return keys.confirm(std::move(given), std::move(done));
            held = std::move(done);
        }
        void release(std::vector<IdempotencyKey>, Completion<Status>) override { FAIL("nothing was refused"); }
        KeyClaims& keys;
        bool is_slow = true;
        std::optional<Completion<Status>> held;
        std::size_t most = 0, confirmed = 0;
    };
    Outside out;
    SubmissionWorld world(out);
    SlowKeys keys(out.keys);
    SubmissionDesk desk(world.shard, world.listener, &keys);
    constexpr std::size_t kSubmissions = 1'500;
    std::size_t accepted = 0;
    for (std::size_t n = 0; n < kSubmissions; ++n) {
        Submission submission = submission::parse_json(kBody).value();
        submission.idempotency_key = "order-" + std::to_string(n);
        desk.submit(std::move(submission), {.name = "shop", .rules = world.rules}, [&](SubmissionOutcome&& outcome) {
            if (outcome.kind == SubmissionOutcome::Kind::Accepted) ++accepted;
        });
    }
    world.run();
    REQUIRE(accepted == kSubmissions);
    keys.is_slow = false;
    std::move(keys.held)->run({});
    world.run();
    CHECK(keys.confirmed == kSubmissions);
    CHECK(keys.most <= 1'000);
}

TEST_CASE("a refused submission gives its key back", "[ingest][submission][idempotency]") {
    Outside out;
    SubmissionWorld world(out);
    out.submit(R"({"mail_from": "a@src.test", "recipient": "nobody", "mime": "x", "idempotency_key": "k"})");
    world.run();
    CHECK(out.broker.waiting("rejected").size() == 1);
    out.submit_json("b@dst.test", R"(, "idempotency_key": "k")");
    world.run();
    CHECK(out.accepted() == 1);
}

TEST_CASE("while keys cannot be asked for, what has one waits", "[ingest][submission][idempotency]") {
    Outside out;
    SubmissionWorld world(out);
    out.keys.fail_next({ErrorKind::Unavailable, "the router is away"});
    out.submit_json("b@dst.test", R"(, "idempotency_key": "k")");
    world.run();
    CHECK(out.accepted() == 0);
    CHECK(world.consumer->is_paused());
    world.pass(std::chrono::seconds(2));
    CHECK(out.accepted() == 1);
}

TEST_CASE("what has a message_id is taken under the same id whenever it comes, and bound the same way",
          "[ingest][submission][idempotency]") {
    Outside out;
    const std::string body =
        R"({"mail_from": "a@src.test", "recipient": "b@dst.test", "pool": "bulk", "mime": "From: a@src.test\r\n\r\nHi"})";
    std::set<std::string> virtual_mtas;
    for (std::uint64_t seed = 1; seed < 10; ++seed) {
        SubmissionWorld world(out, kQueueConfiguration, seed);
        out.submit(body, named("m1"));
        world.run();
        virtual_mtas.insert(out.handover.accepted.back().tasks[0].virtual_mta);
    }
    CHECK(virtual_mtas.size() == 1);
    SubmissionWorld world(out);
    out.submit(kBody, named("m1"));
    out.submit(kBody);
    world.run();
    REQUIRE(out.accepted() == 11);
    CHECK(out.handover.accepted[0].taken_as);
    CHECK(out.handover.accepted[0].taken_as == out.handover.accepted[1].taken_as);
    // Another body is another submission, and without an id there is nothing to tell it by.
    CHECK(out.handover.accepted[9].taken_as != out.handover.accepted[0].taken_as);
    CHECK_FALSE(out.handover.accepted[10].taken_as);
}

TEST_CASE("what is tried again is bound the same way, recipient by recipient", "[ingest][submission]") {
    // One sender may have its part by then, and drops what comes as the same.
    std::string body =
        R"({"mail_from": "a@src.test", "pool": "bulk", "mime": "From: a@src.test\r\n\r\nHi [name]\r\n",)";
    body += R"("recipients": [)";
    for (int i = 0; i < 5; ++i) {
        body += (i > 0 ? ", " : "") + std::string(R"({"to": "b)") + std::to_string(i) +
                R"(@dst.test", "variables": {"name": "B"}})";
    }
    body += "]}";
    std::set<std::string> bindings, ids;
    for (int failures = 0; failures < 4; ++failures) {
        Outside out;
        SubmissionWorld world(out);
        out.handover.mode = FakeHandover::Mode::Hold;
        out.submit(body);
        world.run();
        for (int i = 0; i < failures; ++i) {
            out.handover.release(Error{ErrorKind::DeadlineExceeded, "a sender may have its part"});
            world.pass(std::chrono::seconds(1));
        }
        out.handover.release({});
        world.run();
        INFO(out.reason());
        REQUIRE(out.accepted() == 1);
        const AcceptedMessage& accepted = out.handover.accepted[0];
        REQUIRE(accepted.tasks.size() == 5);
        std::string bound;
        for (const Task& task : accepted.tasks) bound += task.virtual_mta + " ";
        bindings.insert(bound);
        ids.insert(accepted.message->id.to_string());
        CHECK(bound.find("bulk-1") != std::string::npos);
        CHECK(bound.find("bulk-2") != std::string::npos);
    }
    CHECK(ids.size() == 1);
    CHECK(bindings.size() == 1);
}

TEST_CASE("a submission that kills its process is found out, alone, and rejected", "[ingest][submission][F27]") {
    struct Died {};
    Outside out;
    out.broker.declare_queue("submit",
                             {.delivery_limit = 20, .dead_letter_exchange = "", .dead_letter_key = "rejected"});
    for (int i = 0; i < 5; ++i) out.submit_json("b" + std::to_string(i) + "@dst.test");
    out.submit("deadly", named("deadly"));
    for (int i = 5; i < 10; ++i) out.submit_json("b" + std::to_string(i) + "@dst.test");
    // Kept, because the store answers them still; nobody hears of it.
    std::vector<std::unique_ptr<SubmissionWorld>> dead;
    for (bool is_over = false; !is_over && dead.size() < 20;) {
        auto world = std::make_unique<SubmissionWorld>(out, kQueueConfiguration, dead.size() + 1);
        world->before_parse = [](const BrokerMessage& message) {
            if (*message.body == "deadly") throw Died{};
        };
        try {
            world->run();
            is_over = true;
        } catch (const Died&) {
            world->consumer->attach(nullptr);
            world->consumer->drain([] {});
            world->link.reset();
            dead.push_back(std::move(world));
        }
    }
    CHECK(dead.size() == 4);
    CHECK(out.reason().find("Postfleet died 2 times while it had this submission") == 0);
    CHECK(out.broker.waiting("rejected").size() == 1);
    CHECK(out.broker.waiting("submit").empty());
    std::set<std::string> got;
    for (const AcceptedMessage& each : out.handover.accepted) got.insert(each.tasks[0].recipients[0].address);
    CHECK(got.size() == 10);
    CHECK_FALSE(out.notes.note);
}

TEST_CASE("a body larger than any message needs is not parsed", "[ingest][submission][SEC-3]") {
    Outside out;
    SubmissionWorld world(out);
    world.before_parse = [](const BrokerMessage&) { FAIL("parsed"); };
    out.submit(std::string(200 * 1024, 'x'));
    world.run();
    CHECK(out.reason().starts_with("the body has 204800 octets, more than"));
}

TEST_CASE("a drained consumer finishes what is on its way and begins nothing", "[ingest][submission]") {
    Outside out;
    SubmissionWorld world(out);
    out.handover.mode = FakeHandover::Mode::Hold;
    out.submit_json("b@dst.test");
    world.run();
    bool is_quiet = false;
    world.consumer->drain([&] { is_quiet = true; });
    out.submit_json("c@dst.test");
    world.run();
    CHECK_FALSE(is_quiet);
    out.handover.release({});
    world.run();
    CHECK(is_quiet);
    CHECK(out.accepted() == 1);
    world.link->stop({&out.executor, [](Status) {}});
    world.run();
    CHECK(out.broker.waiting("submit").size() == 1);
}

}  // namespace postfleet::ingest
