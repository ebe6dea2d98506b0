// Deferred mail: the retry list, expiry, and what a restart keeps.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

// A server that answers RCPT with `reply` the first `times` times.
void refuse_recipients(FakeHost& host, std::string reply, int times) {
    host.on_command = [reply = std::move(reply), times](Peer&, const std::string& command) mutable {
        std::optional<std::string> answer;
        if (command.starts_with("RCPT") && times > 0) {
            --times;
            answer = reply;
        }
        return answer;
    };
}

}  // namespace

TEST_CASE("a deferred recipient goes again by the retry list, whose last entry repeats") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    refuse_recipients(host, "451 4.7.1 greylisted\r\n", 4);
    world.start();
    const SteadyTime begin = world.executors[0]->now();
    world.accept({});
    world.advance(5min);

    REQUIRE(host.recipients_seen.size() == 5);
    const std::vector<Duration> expected{0s, 10s, 40s, 70s, 100s};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(i);
        CHECK(host.recipients_seen[i].first - begin >= expected[i]);
        CHECK(host.recipients_seen[i].first - begin < expected[i] + 10ms);
    }
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 4);
    for (std::size_t i = 0; i < deferred.size(); ++i) {
        CHECK(deferred[i].attempt == i + 1);
        CHECK(deferred[i].delivery->reply == Reply{451, {4, 7, 1}, "greylisted"});
        CHECK(deferred[i].delivery->phase == SmtpPhase::Rcpt);
        REQUIRE(deferred[i].next_attempt_at);
        CHECK(*deferred[i].next_attempt_at == deferred[i].time + (i == 0 ? 10s : 30s));
    }
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].attempt == 5);
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("the stored task has the exact due time, the attempts and the last reply") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    refuse_recipients(world.host("192.0.2.1:25"), "451 4.7.1 greylisted\r\n", 1000);
    world.start();
    world.accept({});
    const auto tasks = world.spool.tasks();
    REQUIRE(tasks.size() == 1);
    CHECK(tasks[0].due == world.executors[0]->wall_now() + 10s);
    CHECK(tasks[0].recipients[0].attempts == 1);
    CHECK(tasks[0].recipients[0].last_reply == Reply{451, {4, 7, 1}, "greylisted"});
    CHECK(tasks[0].recipients[0].last_mx == "192.0.2.1");
    const QueueStatus queue = world.queue("x.test/v1");
    CHECK(queue.waiting == 1);
    CHECK(queue.next_due == tasks[0].due);
    CHECK(queue.last_reply == "451 4.7.1 greylisted");
}

TEST_CASE("attempts and due times survive a restart", "[P1]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    refuse_recipients(host, "451 4.7.1 greylisted\r\n", 2);
    world.start();
    world.accept({});
    world.advance(10s);
    REQUIRE(host.recipients_seen.size() == 2);
    world.advance(5s);

    world.stop();
    world.spool.restart();
    world.start();
    CHECK(world.queue("x.test/v1").waiting == 1);
    world.advance(24s);
    CHECK(host.recipients_seen.size() == 2);
    world.advance(2s);
    CHECK(host.recipients_seen.size() == 3);
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].attempt == 3);
}

TEST_CASE("mail expires in its time, with the last thing that was answered") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().expire_after = 25s;
    FakeHost& host = world.host("192.0.2.1:25");
    refuse_recipients(host, "451 4.2.2 mailbox full\r\n", 1000);
    world.start();
    world.accept({});
    world.advance(24s);
    CHECK(world.count(EventType::Expired) == 0);
    world.advance(2s);
    const auto expired = world.events(EventType::Expired);
    REQUIRE(expired.size() == 1);
    CHECK(expired[0].delivery->reply == Reply{451, {4, 2, 2}, "mailbox full"});
    CHECK(expired[0].bounce->category == "message-expired");
    CHECK(expired[0].attempt == 2);
    CHECK(host.recipients_seen.size() == 2);
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("the submitter's own deadline counts if it is earlier") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    refuse_recipients(world.host("192.0.2.1:25"), "451 no\r\n", 1000);
    world.start();
    world.accept({.expires_in = 7s});
    world.advance(7s + 10ms);
    CHECK(world.count(EventType::Expired) == 1);
}

TEST_CASE("mail that is held expires in its time, too", "[P5]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.pause({.queue = "x.test/v1"});
    world.accept({.expires_in = 20s});
    world.advance(21s);
    CHECK(world.count(EventType::Expired) == 1);
    CHECK(world.host("192.0.2.1:25").connects == 0);
}

TEST_CASE("a clock that jumps moves due times but stalls nothing", "[F56]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    refuse_recipients(host, "451 no\r\n", 1);
    world.shaping().retry_after = std::vector<Duration>{30min};
    world.start();
    world.accept({});
    world.executors[0]->set_wall_time(world.executors[0]->wall_now() + 40min);
    world.advance(6min);
    CHECK(host.deliveries.size() == 1);
}

TEST_CASE("mail that was deferred by a clock that was ahead does not wait for its old time", "[F56][P5]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    refuse_recipients(host, "451 no\r\n", 2);
    world.shaping().retry_after = std::vector<Duration>{10min, 30min};
    world.shaping().expire_after = Duration(96h);
    world.start();
    const auto set_back = [&world] {
        for (const auto& executor : world.executors) executor->set_wall_time(executor->wall_now() - 10h);
    };
    world.accept({});
    world.advance(11min);
    REQUIRE(world.count(EventType::Deferred) == 2);  // due in 29 minutes

    SECTION("the clock is set back while it waits") {
        set_back();
        world.advance(30min);
        CHECK(host.deliveries.empty());
        world.advance(7min);
    }
    SECTION("the clock is right after a restart") {
        world.stop();
        set_back();
        world.spool.restart();
        world.start();
        world.advance(29min);
        CHECK(host.deliveries.empty());
        world.advance(2min);
    }
    CHECK(host.deliveries.size() == 1);
}

TEST_CASE("a clock that is set back leaves mail that is to be sent later its time", "[F56]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    const WallTime now = world.executors[0]->wall_now();
    world.accept({.send_in = 2h});
    for (const auto& executor : world.executors) executor->set_wall_time(now - 10h);
    world.advance(11h + 59min);
    CHECK(world.host("192.0.2.1:25").deliveries.empty());
    world.stop();
    world.spool.restart();
    world.start();
    world.settle();
    CHECK(world.host("192.0.2.1:25").deliveries.empty());
    world.advance(2min);
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);
}

TEST_CASE("a message with delivery windows is tried only inside them, and expires with the last one") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    bool is_ready = false;
    host.on_command = [&](Peer&, const std::string& command) -> std::optional<std::string> {
        return command.starts_with("RCPT") && !is_ready ? std::optional<std::string>("451 later\r\n") : std::nullopt;
    };
    world.shaping().retry_after = std::vector<Duration>{2min};
    world.start();
    const WallTime now = world.executors[0]->wall_now();
    Mail mail;
    mail.windows = {{now, now + 5min}, {now + 20min, now + 30min}};
    mail.expires_in = 30min;
    world.accept(mail);
    CHECK(world.count(EventType::Deferred) == 1);
    world.advance(19min);
    CHECK(world.count(EventType::Deferred) == 3);  // at 2 and 4 minutes; the one at 6 is put off
    CHECK(*world.events(EventType::Deferred).back().next_attempt_at == now + 20min);
    SECTION("it goes when the next one opens") {
        is_ready = true;
        world.advance(90s);
        CHECK(world.count(EventType::Delivered) == 1);
    }
    SECTION("the last one closes") {
        world.advance(15min);
        CHECK(world.count(EventType::Expired) == 1);
    }
}

TEST_CASE("mail that was held up until its window closed waits for the next one") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.pause({.virtual_mta = "v1"});
    const WallTime now = world.executors[0]->wall_now();
    Mail mail;
    mail.windows = {{now, now + 1min}, {now + 10min, now + 20min}};
    mail.expires_in = 20min;
    world.accept(mail);
    world.advance(2min);
    world.resume({.virtual_mta = "v1"});
    world.advance(7min);
    CHECK(world.count(EventType::Delivered) == 0);
    CHECK(world.count(EventType::Deferred) == 0);
    world.advance(2min);
    CHECK(world.count(EventType::Delivered) == 1);
}
