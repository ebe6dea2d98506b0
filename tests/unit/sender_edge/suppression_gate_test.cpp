#include "postfleet/sender_edge/suppression_gate.hpp"

#include <catch2/catch.hpp>

#include <map>

#include "postfleet/support/fake_handover.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet::sender {

namespace {

using Texts = std::vector<std::string>;

class FakeCheck final : public RecipientCheck {
public:
    bool any = true, answers = true;
    std::map<std::string, Suppression> list;  // by tenant/address
    std::vector<SuppressionQuestion> asked;

    bool has_any() const override { return any; }
    void check(std::vector<SuppressionQuestion> questions, Completion<Result<Answers>> done) override {
        Answers found;
        for (const SuppressionQuestion& question : questions) {
            const auto one = list.find(question.tenant + "/" + question.address);
            found.push_back(one == list.end() ? std::nullopt : std::optional(one->second));
            asked.push_back(question);
        }
        Result<Answers> result = found;
        if (!answers) result = Error{ErrorKind::Unavailable, "no router answers"};
        done.on->post([done = std::move(done), result]() mutable { done.run(std::move(result)); });
    }
};

struct World {
    support::ManualExecutor executor;
    support::FakeHandover next;
    FakeCheck check;
    Metrics metrics;
    std::vector<std::pair<AcceptedMessage, std::vector<EndedTask>>> ended;
    Texts answers;
    SuppressionGate gate{next,
                         [this](AcceptedMessage message, std::vector<EndedTask> tasks, Completion<Status> done) {
                             ended.emplace_back(std::move(message), std::move(tasks));
                             done.run({});
                         },
                         check, metrics};

    // A task for each domain.
    void hand_over(const std::vector<Texts>& recipients) {
        auto facts = std::make_shared<Message>();
        facts->id = IdGenerator(7).next(executor.wall_now());
        AcceptedMessage message;
        std::uint32_t index = 0;
        for (const Texts& of_task : recipients) {
            Task& task = message.tasks.emplace_back();
            task.key = {facts->id, index};
            task.tenant = "acme";
            task.virtual_mta = "tx";
            for (const std::string& address : of_task)
                task.recipients.push_back({.index = index++, .address = address});
        }
        message.message = facts;
        message.last_chunk = std::make_shared<const std::string>("x");
        message.taken_as = facts->id;
        gate.hand_over(std::move(message), {&executor, [this](Status status) {
                                                answers.push_back(status ? "ok" : to_string(status.error().kind));
                                            }});
        executor.run_until_idle();
    }
    void suppress(const std::string& key, const std::string& target) {
        check.list[key] = {.key = {"", target}, .reason = "unsubscribed", .source = "root"};
    }
};

}  // namespace

TEST_CASE("while nobody is suppressed nobody is asked for") {
    World world;
    world.check.any = false;
    world.hand_over({{"a@x.test"}});
    CHECK(world.answers == Texts{"ok"});
    CHECK(world.check.asked.empty());
    CHECK(world.next.accepted.size() == 1);
}

TEST_CASE("all recipients of a message are asked for in one go, with its tenant") {
    World world;
    world.hand_over({{"a@x.test", "b@x.test"}, {"c@y.test"}});
    REQUIRE(world.check.asked.size() == 3);
    CHECK(world.check.asked[2].address == "c@y.test");
    CHECK(world.check.asked[0].tenant == "acme");
    REQUIRE(world.next.accepted.size() == 1);
    CHECK(world.next.accepted[0].tasks[0].recipients.size() == 2);
    CHECK(world.ended.empty());
}

TEST_CASE("those on a list end with a reason, the others get their mail") {
    World world;
    world.suppress("acme/b@x.test", "b@x.test");
    world.suppress("acme/c@y.test", "y.test");
    world.hand_over({{"a@x.test", "b@x.test"}, {"c@y.test"}});
    CHECK(world.answers == Texts{"ok"});
    CHECK(world.next.accepted.empty());
    REQUIRE(world.ended.size() == 1);
    const auto& [message, tasks] = world.ended[0];
    REQUIRE(message.tasks.size() == 1);
    REQUIRE(message.tasks[0].recipients.size() == 1);
    CHECK(message.tasks[0].recipients[0].address == "a@x.test");
    CHECK(message.taken_as.has_value());
    REQUIRE(tasks.size() == 2);
    CHECK(tasks[0].task.recipients[0].index == 1);
    CHECK(tasks[0].task.virtual_mta == "tx");
    CHECK(tasks[0].reason == "suppressed by root: unsubscribed (b@x.test)");
    CHECK(tasks[1].reason == "suppressed by root: unsubscribed (y.test)");
}

TEST_CASE("a message of whose recipients none is left goes on without tasks") {
    World world;
    world.suppress("acme/a@x.test", "a@x.test");
    world.hand_over({{"a@x.test"}});
    REQUIRE(world.ended.size() == 1);
    CHECK(world.ended[0].first.tasks.empty());
}

TEST_CASE("when no router answers mail is taken in whole, and that is counted") {
    World world;
    world.suppress("acme/a@x.test", "a@x.test");
    world.check.answers = false;
    world.hand_over({{"a@x.test", "b@x.test"}});
    CHECK(world.answers == Texts{"ok"});
    REQUIRE(world.next.accepted.size() == 1);
    CHECK(world.next.accepted[0].tasks[0].recipients.size() == 2);
    CHECK(world.metrics.counter("postfleet_sender_suppressions_unanswered_total", "").value() == 1);
}

}  // namespace postfleet::sender
