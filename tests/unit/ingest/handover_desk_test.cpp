#include "postfleet/ingest/handover_desk.hpp"

#include <catch2/catch.hpp>
#include <optional>

#include "postfleet/support/fake_handover.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet::ingest {
namespace {

using support::FakeHandover;

struct Waiter final : HandoverWaiter {
    std::vector<Status> answers;
    bool inside_call = false;
    void on_answer(const Status& status) override {
        REQUIRE_FALSE(inside_call);
        answers.push_back(status);
    }
};

struct Fixture {
    support::ManualExecutor executor;
    FakeHandover handover;
    Metrics metrics;
    IngestCounters counters{metrics};
    HandoverDesk desk{executor, handover, counters};
    Waiter waiter;

    static AcceptedMessage message(std::uint8_t number, std::uint32_t chunks = 1) {
        auto message = std::make_shared<Message>();
        message->id.octets[0] = number;
        message->content_chunks = chunks;
        return {message, {}, std::make_shared<const std::string>()};
    }
    HandoverDesk::Ticket hand_over(std::uint8_t number, std::uint32_t chunks = 1) {
        waiter.inside_call = true;
        const auto ticket = desk.hand_over(waiter, message(number, chunks));
        waiter.inside_call = false;
        return ticket;
    }
};

const Error kFull{ErrorKind::ResourceExhausted, "full"};

}  // namespace

TEST_CASE("an answer comes once, and never inside the call, even when the port knows at once") {
    for (const auto mode : {FakeHandover::Mode::AtOnce, FakeHandover::Mode::Posted}) {
        Fixture f;
        f.handover.mode = mode;
        f.hand_over(1);
        CHECK(f.waiter.answers.empty());
        f.executor.run_until_idle();
        REQUIRE(f.waiter.answers.size() == 1);
        CHECK(f.waiter.answers[0]);
        f.executor.advance(std::chrono::minutes(5));
        CHECK(f.waiter.answers.size() == 1);
    }
}

TEST_CASE("after its patience a waiter is told, and the late success is counted as unanswered") {
    Fixture f;
    f.handover.mode = FakeHandover::Mode::Hold;
    f.hand_over(1);
    f.executor.advance(HandoverDesk::kPatience - std::chrono::milliseconds(1));
    CHECK(f.waiter.answers.empty());
    f.executor.advance(std::chrono::milliseconds(1));
    REQUIRE(f.waiter.answers.size() == 1);
    CHECK(f.waiter.answers[0].error().kind == ErrorKind::DeadlineExceeded);
    f.handover.release({});
    f.executor.run_until_idle();
    CHECK(f.waiter.answers.size() == 1);
    CHECK(f.counters.unanswered.value() == 1);
}

TEST_CASE("each waiter has its full patience although there is one timer") {
    Fixture f;
    f.handover.mode = FakeHandover::Mode::Hold;
    f.hand_over(1);
    f.executor.advance(std::chrono::seconds(20));
    f.hand_over(2);
    f.executor.advance(std::chrono::seconds(5));
    f.handover.release({});  // the first
    f.executor.advance(std::chrono::seconds(24));
    CHECK(f.waiter.answers.size() == 1);
    f.executor.advance(std::chrono::seconds(1));
    REQUIRE(f.waiter.answers.size() == 2);
    CHECK_FALSE(f.waiter.answers[1]);
    CHECK(f.executor.pending_timers() == 0);
}

TEST_CASE("content of a message that failed after its waiter had gone is discarded") {
    Fixture f;
    MessageId id;
    id.octets[0] = 7;
    f.desk.append(f.waiter, id, 0, std::make_shared<const std::string>("x"));
    f.executor.run_until_idle();
    CHECK(f.handover.chunks.size() == 1);
    f.handover.mode = FakeHandover::Mode::Hold;
    const auto ticket = f.hand_over(7, 2);
    f.desk.forget(ticket);
    f.handover.release(kFull);
    f.executor.run_until_idle();
    CHECK(f.handover.chunks.empty());
    CHECK(f.counters.unanswered.value() == 0);
    CHECK(f.waiter.answers.size() == 1);
}

TEST_CASE("content stays when it is not known whether the message exists") {
    Fixture f;
    MessageId id;
    id.octets[0] = 7;
    f.desk.append(f.waiter, id, 0, std::make_shared<const std::string>("x"));
    f.executor.run_until_idle();
    f.handover.mode = FakeHandover::Mode::Hold;
    f.desk.forget(f.hand_over(7, 2));
    f.handover.release(Error{ErrorKind::DeadlineExceeded, "unknown"});
    f.executor.run_until_idle();
    CHECK(f.handover.chunks.size() == 1);
}

TEST_CASE("a chunk that is stored after its waiter had gone is discarded with those before it") {
    Fixture f;
    MessageId id;
    id.octets[0] = 7;
    f.desk.append(f.waiter, id, 0, std::make_shared<const std::string>("x"));
    f.executor.run_until_idle();
    f.handover.mode = FakeHandover::Mode::Hold;
    f.desk.forget(f.desk.append(f.waiter, id, 1, std::make_shared<const std::string>("y")));
    f.handover.release({});
    f.executor.run_until_idle();
    CHECK(f.handover.chunks.empty());
}

TEST_CASE("tickets of many waiters are answered in whatever order the port likes") {
    Fixture f;
    f.handover.mode = FakeHandover::Mode::Hold;
    std::vector<Waiter> waiters(50);
    for (std::size_t i = 0; i < waiters.size(); ++i) {
        f.desk.hand_over(waiters[i], Fixture::message(static_cast<std::uint8_t>(i + 1)));
    }
    for (std::size_t i = 0; i < waiters.size(); ++i) f.handover.release({});
    f.executor.run_until_idle();
    for (const Waiter& waiter : waiters) CHECK(waiter.answers.size() == 1);
    CHECK(f.handover.accepted.size() == 50);
}

}  // namespace postfleet::ingest
