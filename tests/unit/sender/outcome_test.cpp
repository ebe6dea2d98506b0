#include "outcome.hpp"

#include <catch2/catch.hpp>
#include <set>

using namespace postfleet;
using namespace postfleet::sender;
using namespace std::chrono_literals;

namespace {

const WallTime kNow = from_unix_microseconds(1'000'000'000);
const std::vector<Duration> kRetry{10s, 60s};
const Reply kOk{250, {2, 0, 0}, "ok"}, kLater{451, {4, 7, 1}, "later"}, kNo{550, {5, 1, 1}, "no"};

Task task_with(std::uint32_t first, std::uint32_t n) {
    Task task;
    task.key.message.octets[0] = 9;
    task.key.number = first;
    task.domain = "x.test";
    task.virtual_mta = "v1";
    for (std::uint32_t i = 0; i < n; ++i) {
        Recipient& recipient = task.recipients.emplace_back();
        recipient.index = first + i;
        recipient.address = "r" + std::to_string(first + i) + "@x.test";
    }
    return task;
}

AttemptContext context() {
    AttemptContext out;
    out.queue = "x.test/v1";
    out.mx_host = "mx.x.test";
    out.now = kNow;
    out.expires = kNow + 1h;
    out.retry_after = kRetry;
    return out;
}

RecipientResult result(Disposition disposition, const Reply* reply = nullptr) {
    return {disposition, SmtpPhase::Rcpt, reply, {}};
}

Outcome settle_task(Task task, std::vector<RecipientResult> results) {
    auto message = std::make_shared<Message>();
    message->id = task.key.message;
    return settle(std::move(task), message, results, context());
}

}  // namespace

TEST_CASE("a task whose recipients are all done leaves nothing") {
    const Outcome outcome =
        settle_task(task_with(0, 2), {result(Disposition::Delivered, &kOk), result(Disposition::Bounced, &kNo)});
    CHECK(outcome.remaining.empty());
    REQUIRE(outcome.events.size() == 2);
    CHECK(outcome.events[0].type == EventType::Delivered);
    CHECK(outcome.events[0].attempt == 1);
    CHECK(outcome.events[1].type == EventType::Bounced);
    CHECK(outcome.events[1].bounce->category == "bad-mailbox");
    CHECK(outcome.counts.delivered == 1);
    CHECK(outcome.counts.bounced == 1);
}

TEST_CASE("what is deferred and what was not tried part, each with a number that nobody else has") {
    Task task = task_with(3, 4);
    task.recipients[2].attempts = 1;
    const TaskKey key = task.key;
    const Outcome outcome = settle_task(
        std::move(task), {result(Disposition::Delivered, &kOk), result(Disposition::Deferred, &kLater),
                          result(Disposition::Deferred, &kLater)});  // the fourth was not in the transaction
    REQUIRE(outcome.remaining.size() == 3);
    CHECK(outcome.remaining[0].key == TaskKey{key.message, 4});
    CHECK(outcome.remaining[0].due == kNow + 10s);
    CHECK(outcome.remaining[1].key == TaskKey{key.message, 5});
    CHECK(outcome.remaining[1].due == kNow + 60s);
    CHECK(outcome.remaining[2].key == TaskKey{key.message, 6});
    CHECK(outcome.remaining[2].due == kNow);
    CHECK(outcome.remaining[0].recipients[0].attempts == 1);
    CHECK(outcome.remaining[0].recipients[0].last_reply == kLater);
    CHECK(outcome.remaining[0].recipients[0].last_mx == "mx.x.test");
    CHECK(outcome.remaining[2].recipients[0].attempts == 0);
    for (const Task& part : outcome.remaining) {
        CHECK(part.domain == "x.test");
        CHECK(part.recipients.size() == 1);
    }
    CHECK(outcome.events.size() == 3);
    CHECK(outcome.events[1].next_attempt_at == kNow + 10s);
}

TEST_CASE("recipients that go again at the same time stay together, under the first one's number") {
    const Outcome outcome =
        settle_task(task_with(0, 3), {result(Disposition::Deferred, &kLater), result(Disposition::Delivered, &kOk),
                                      result(Disposition::Deferred, &kLater)});
    REQUIRE(outcome.remaining.size() == 1);
    CHECK(outcome.remaining[0].key.number == 0);
    CHECK(outcome.remaining[0].recipients.size() == 2);
}

TEST_CASE("what expires or is cancelled tells the last thing that was answered, and counts no attempt") {
    Task task = task_with(0, 2);
    task.recipients[0].attempts = 4;
    task.recipients[0].last_reply = kLater;
    task.recipients[0].last_mx = "old.mx";
    RecipientResult expired = result(Disposition::Expired);
    expired.reason = "too late";
    RecipientResult cancelled = result(Disposition::Cancelled);
    cancelled.reason = "deleted";
    const Outcome outcome = settle_task(std::move(task), {expired, cancelled});
    REQUIRE(outcome.events.size() == 2);
    CHECK(outcome.events[0].attempt == 4);
    CHECK(outcome.events[0].reason == "too late");
    CHECK(outcome.events[0].delivery->reply == kLater);
    CHECK(outcome.events[0].delivery->mx_host == "old.mx");
    CHECK(outcome.events[1].attempt == 0);
    CHECK_FALSE(outcome.events[1].delivery);
}

TEST_CASE("the same fact told twice has the same id, different facts have different ones") {
    const auto ids = [](Disposition disposition, std::uint16_t attempts) {
        Task task = task_with(0, 2);
        for (Recipient& r : task.recipients) r.attempts = attempts;
        std::vector<EventId> out;
        for (const Event& e :
             settle_task(std::move(task), {result(disposition, &kLater), result(disposition, &kLater)}).events) {
            out.push_back(e.id);
        }
        return out;
    };
    CHECK(ids(Disposition::Deferred, 0) == ids(Disposition::Deferred, 0));
    std::set<EventId> all;
    for (const auto disposition : {Disposition::Deferred, Disposition::Bounced, Disposition::Delivered}) {
        for (const std::uint16_t attempts : std::initializer_list<std::uint16_t>{0, 1, 2}) {
            for (const EventId& id : ids(disposition, attempts)) all.insert(id);
        }
    }
    CHECK(all.size() == 18);
}
