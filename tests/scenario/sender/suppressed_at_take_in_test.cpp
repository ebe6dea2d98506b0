// Recipients that are suppressed before there is a task of theirs (Sender::hand_over_ended).
#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;

namespace {

struct Take {
    SenderWorld world;
    std::shared_ptr<Message> message = std::make_shared<Message>();
    std::optional<Status> answer;

    Take() {
        world.route("x.test", "192.0.2.1:25");
        world.start();
        message->id = IdGenerator(5).next(world.executors[0]->wall_now());
        message->accepted_at = world.executors[0]->wall_now();
        message->reverse_path = "sender@from.test";
    }
    Task task(std::uint32_t index, const std::string& address) {
        Task task;
        task.key = {message->id, index};
        task.due = task.accepted_at = message->accepted_at;
        task.domain = "x.test";
        task.virtual_mta = "v1";
        task.recipients.push_back({.index = index, .address = address});
        return task;
    }
    // a@x.test gets the mail, if `some`; b@x.test is suppressed.
    void hand_over(bool some) {
        const auto content = std::make_shared<const std::string>("Subject: hi\r\n\r\nhello\r\n");
        message->size_octets = content->size();
        AcceptedMessage accepted;
        accepted.message = message;
        accepted.last_chunk = content;
        accepted.taken_as = message->id;
        if (some) accepted.tasks.push_back(task(0, "a@x.test"));
        answer.reset();
        world.sender->hand_over_ended(
            std::move(accepted), {{task(1, "b@x.test"), "suppressed by root: unsubscribed"}},
            {world.executors[0].get(), [this](Status status) { answer = std::move(status); }});
        world.settle();
    }
};

}  // namespace

TEST_CASE("a suppressed recipient gets an event in the commit that takes the others in, who get their mail", "[P1]") {
    Take take;
    take.hand_over(true);
    REQUIRE(take.answer);
    CHECK(*take.answer);
    const auto ended = take.world.events(EventType::Suppressed);
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].recipient == "b@x.test");
    CHECK(ended[0].recipient_index == 1);
    CHECK(ended[0].reason == "suppressed by root: unsubscribed");
    CHECK(ended[0].virtual_mta == "v1");
    const auto delivered = take.world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].recipient == "a@x.test");
}

TEST_CASE("a second copy of a hand-over makes no second event, and no mail", "[P1][P3]") {
    Take take;
    const bool some = GENERATE(true, false);
    take.hand_over(some);
    take.hand_over(some);
    CHECK(*take.answer);
    CHECK(take.world.count(EventType::Suppressed) == 1);
    CHECK(take.world.count(EventType::Delivered) == (some ? 1 : 0));
}

TEST_CASE("of a message whose recipients are all suppressed nothing stays but the events") {
    Take take;
    take.hand_over(false);
    CHECK(*take.answer);
    CHECK(take.world.count(EventType::Suppressed) == 1);
    CHECK(take.world.spool.messages() == 0);
    CHECK(take.world.sender->backlog().messages == 0);
}

TEST_CASE("what the spool does not take is refused whole, without an event") {
    Take take;
    take.world.spool.fail_next_commits(1, {ErrorKind::ResourceExhausted, "full"});
    take.hand_over(true);
    CHECK_FALSE(*take.answer);
    CHECK(take.world.count(EventType::Suppressed) == 0);
    CHECK(take.world.count(EventType::Delivered) == 0);
    take.hand_over(true);
    CHECK(take.world.count(EventType::Suppressed) == 1);
}
