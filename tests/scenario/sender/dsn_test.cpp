// What senders are told by mail (RFC 3461, RFC 3464): whom, of what, once, and over a crash.

#include <catch2/catch.hpp>

#include "postfleet/base/text.hpp"
#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

// x.test refuses recipients "bad…"; the sender's mail arrives at from.test.
struct DsnWorld : SenderWorld {
    DsnWorld() {
        route("x.test", "192.0.2.1:25");
        route("from.test", "192.0.2.9:25");
        shaping().dsn_failure = shaping().dsn_delay = shaping().dsn_success = true;
        config.dsn.delay_after = 30min;
        shaping().retry_after = std::vector<Duration>{10min};
        receiver().on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
            if (command.starts_with("RCPT TO:<bad")) return "550 5.1.1 no such user\r\n";
            if (command.starts_with("RCPT TO:<later")) return "450 4.2.1 later\r\n";
            return {};
        };
    }
    FakeHost& receiver() { return host("192.0.2.1:25"); }
    const std::vector<Delivery>& mailbox() { return host("192.0.2.9:25").deliveries; }
    // The only one.
    const std::string& notification() {
        REQUIRE(mailbox().size() == 1);
        return mailbox()[0].content;
    }
    std::size_t suppressed() const {
        return static_cast<std::size_t>(std::count_if(log.lines.begin(), log.lines.end(), [](const std::string& line) {
            return line.find("notification-suppressed") != std::string::npos;
        }));
    }
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::size_t occurrences(const std::string& text, std::string_view part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

constexpr std::uint8_t kAll = kNotifySuccess | kNotifyFailure | kNotifyDelay;

}  // namespace

TEST_CASE("who sent what failed is told so by mail, from <>", "[X3461]") {
    DsnWorld world;
    world.host("192.0.2.9:25").ehlo = "250-mx\r\n250-DSN\r\n250 SIZE\r\n";
    world.start();
    world.accept({.to = {"bad@x.test"}, .envelope_id = "order 17"});
    const std::string& text = world.notification();
    CHECK(world.mailbox()[0].from.empty());
    CHECK(world.mailbox()[0].to == std::vector<std::string>{"sender@from.test"});
    CHECK(has(text, "From: Mail Delivery System <MAILER-DAEMON@mta.test>\r\n"));
    CHECK(has(text, "Original-Envelope-Id: order 17\r\n"));
    CHECK(
        has(text,
            "Final-Recipient: rfc822; bad@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; [192.0.2.1]"));
    CHECK(has(text, "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"));
    CHECK(has(text, "text/rfc822-headers\r\n\r\nReceived: from test\r\nSubject: hi\r\n\r\n--"));
    // It asks for no notifications itself.
    const auto& commands = world.host("192.0.2.9:25").peers[0]->commands;
    CHECK(std::count(commands.begin(), commands.end(), "RCPT TO:<sender@from.test> NOTIFY=NEVER") == 1);
    // Its own events say what it is.
    const auto delivered = world.events(EventType::Delivered);
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].message->metadata[0] == std::pair<std::string, std::string>("dsn_action", "failed"));
    CHECK(delivered[0].message->metadata[1].second == world.events(EventType::Bounced)[0].message->id.to_string());
    CHECK(world.spool.messages() == 0);
    CHECK(world.metrics->counter("postfleet_sender_notifications_total", "", {{"action", "failed"}}).value() == 1);
}

TEST_CASE("each NOTIFY and each outcome: who is told, and of what", "[X3461][rfc3461-5.2]") {
    struct Row {
        std::uint8_t notify;
        std::string recipient;  // bad: fails; later: expires; good: taken
        bool offers_dsn;
        std::string action;  // empty: nobody is told
    };
    const std::vector<Row> rows{
        {0, "bad@x.test", false, "failed"},
        {kNotifyNever, "bad@x.test", false, ""},
        {kNotifyFailure, "bad@x.test", true, "failed"},
        {kNotifySuccess, "bad@x.test", false, ""},
        {kNotifyDelay, "bad@x.test", false, ""},
        {kAll, "bad@x.test", false, "failed"},
        {0, "later@x.test", false, "failed"},
        {kNotifyNever, "later@x.test", false, ""},
        {kNotifyFailure, "later@x.test", false, "failed"},
        {kNotifySuccess, "later@x.test", false, ""},
        {kNotifyDelay, "later@x.test", false, "delayed"},
        {0, "good@x.test", false, ""},
        {kNotifyNever, "good@x.test", false, ""},
        {kNotifyFailure, "good@x.test", false, ""},
        {kNotifySuccess, "good@x.test", false, "relayed"},
        {kNotifySuccess, "good@x.test", true, ""},  // that server tells the sender itself
        {kAll, "good@x.test", false, "relayed"},
    };
    for (const Row& row : rows) {
        INFO(int{row.notify} << " " << row.recipient << " " << row.offers_dsn);
        DsnWorld world;
        if (row.offers_dsn) world.receiver().ehlo = "250-mx\r\n250-DSN\r\n250 SIZE\r\n";
        world.start();
        world.accept({.to = {row.recipient}, .notify = row.notify});
        world.advance(61min);
        CHECK(world.mailbox().size() == (row.action.empty() ? 0 : 1));
        if (!row.action.empty()) CHECK(has(world.notification(), "\r\nAction: " + row.action + "\r\n"));
        CHECK(world.spool.messages() == 0);
    }
}

TEST_CASE("mail that expired is told of with 5.4.7 and the last reply", "[X3461][X2852]") {
    DsnWorld world;
    world.start();
    world.accept({.to = {"later@x.test"}});
    world.advance(61min);
    CHECK(has(world.notification(),
              "Action: failed\r\nStatus: 5.4.7\r\nRemote-MTA: dns; [192.0.2.1]\r\nDiagnostic-Code: "
              "smtp; 450 4.2.1 later\r\n"));
}

TEST_CASE("what an operator deletes is not told to its sender") {
    DsnWorld world;
    world.start();
    world.accept({.to = {"later@x.test"}, .notify = kAll});
    MailSelector all;
    all.domain = "x.test";
    world.remove(all);
    world.settle();
    CHECK(world.count(EventType::Cancelled) == 1);
    CHECK(world.mailbox().empty());
}

TEST_CASE("a message with a null reverse-path is told of to nobody, whatever it asks for", "[X3461][C5321-9]") {
    DsnWorld world;
    world.start();
    world.accept({.from = "", .to = {"bad@x.test", "good@x.test"}, .notify = kAll});
    CHECK(world.count(EventType::Bounced) == 1);
    CHECK(world.spool.tasks().empty());
    CHECK(world.count(EventType::Accepted) == 2);
}

TEST_CASE("a notification that fails makes no other one: no loops", "[X3461][C5321-9]") {
    DsnWorld world;
    world.receiver().on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT")) return "550 5.1.1 nobody here\r\n";
        return {};
    };
    world.start();
    world.accept({.from = "nobody@x.test", .to = {"bad@x.test"}});
    CHECK(world.count(EventType::Bounced) == 2);
    CHECK(world.count(EventType::Accepted) == 2);
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("recipients that fail together are in one notification", "[X3461]") {
    DsnWorld world;
    world.start();
    world.accept({.to = {"bad1@x.test", "good@x.test", "bad2@x.test", "later@x.test", "bad3@x.test"}});
    CHECK(occurrences(world.notification(), "\r\nFinal-Recipient: ") == 3);
    CHECK_FALSE(has(world.notification(), "good@x.test"));
    CHECK_FALSE(has(world.notification(), "later@x.test"));
}

TEST_CASE("RET=FULL returns the message, also when it was never sent and did not stay in memory", "[X3461]") {
    DsnWorld world;
    world.config.dsn.max_returned_size = 200'000;
    const std::string body = "Subject: hi\r\n\r\nThe text.\r\n";
    SECTION("from memory") {}
    SECTION("from the spool") { world.config.spool.memory_for_content = 0; }
    world.start();
    world.accept({.to = {"a@gone.test"}, .content = body, .return_content = ReturnContent::Full});
    CHECK(has(world.notification(), "Status: 5.1.2"));
    CHECK(has(world.notification(), "message/rfc822\r\n\r\nReceived: from test\r\nSubject: hi\r\n\r\nThe text.\r\n"));
}

TEST_CASE("of a large message that was never sent the header comes back", "[X3461]") {
    DsnWorld world;
    world.start();
    std::string content = "Subject: large\r\n\r\n";
    while (content.size() < 600'000) content += std::string(70, 'x') + "\r\n";
    world.accept({.to = {"a@gone.test"}, .content = content, .return_content = ReturnContent::Full});
    CHECK(has(world.notification(), "text/rfc822-headers\r\n\r\nReceived: from test\r\nSubject: large\r\n\r\n--"));
    CHECK(world.notification().size() < 4'000);
}

TEST_CASE("a sender gets so many notifications and no more; the others are counted and logged", "[X3461]") {
    DsnWorld world;
    SECTION("of one sender") {
        world.config.dsn.max_rate_per_sender = {2, std::chrono::hours(1)};
        world.start();
        for (int i = 0; i < 5; ++i) world.accept({.to = {"bad@x.test"}});
        world.accept({.from = "other@from.test", .to = {"bad@x.test"}});
        CHECK(world.mailbox().size() == 3);
        CHECK(world.suppressed() == 3);
        CHECK(world.metrics
                  ->counter("postfleet_sender_notifications_suppressed_total", "", {{"reason", "max_rate_per_sender"}})
                  .value() == 3);
        world.advance(31min);
        world.accept({.to = {"bad@x.test"}});
        CHECK(world.mailbox().size() == 4);
    }
    SECTION("of all") {
        world.config.dsn.max_rate = {2, std::chrono::hours(1)};
        world.start();
        for (int i = 0; i < 5; ++i) world.accept({.from = std::to_string(i) + "@from.test", .to = {"bad@x.test"}});
        CHECK(world.mailbox().size() == 2);
        CHECK(world.suppressed() == 3);
    }
    CHECK(world.count(EventType::Bounced) >= 5);
}

TEST_CASE("notifications are switched off by virtual MTA, pool, tenant, domain and listener", "[X3461]") {
    DsnWorld world;
    world.config.tenants["acme"].name = "acme";
    world.config.pools["bulk"] = {.name = "bulk", .members = {{"v1", 1}}, .priority = Priority::Normal, .origin = {}};
    config::ShapingRule rule;
    rule.keys.dsn_failure = false;
    Mail mail{.to = {"bad@x.test"}};
    SECTION("virtual MTA") { rule.match.virtual_mta = "v1"; }
    SECTION("pool") { rule.match.pool = "bulk"; }
    SECTION("tenant") { rule.match.tenant = mail.tenant = "acme"; }
    SECTION("domain") { rule.match.domain = "x.test"; }
    SECTION("site") { rule.match.site = "x.test"; }
    SECTION("listener") {
        rule.match.tenant = "acme";
        world.config.listeners["bulk"].dsn = false;
        mail.listener = "bulk";
    }
    world.config.shaping.push_back(rule);
    world.start();
    world.accept(mail);
    CHECK(world.count(EventType::Bounced) == 1);
    CHECK(world.mailbox().empty());
    CHECK(world.suppressed() == 0);
}

TEST_CASE("what one kind of notification is switched off for the others still come") {
    DsnWorld world;
    world.shaping().dsn_success = false;
    world.start();
    world.accept({.to = {"bad@x.test", "good@x.test"}, .notify = kAll});
    CHECK(occurrences(world.notification(), "\r\nFinal-Recipient: ") == 1);
    CHECK(has(world.notification(), "Action: failed"));
}

TEST_CASE("notifications go the way that is set for them, else the default one") {
    DsnWorld world;
    world.add_virtual_mta("v2", {"192.0.2.20"});
    std::string source = "192.0.2.10";
    SECTION("the default one") {}
    SECTION("a pool of their own") {
        world.config.pools["dsn"] = {.name = "dsn", .members = {{"v2", 1}}, .priority = Priority::Low, .origin = {}};
        world.config.dsn.virtual_mta = "dsn";
        world.config.dsn.from = "postmaster@from.test";
        source = "192.0.2.20";
    }
    world.start();
    world.accept({.to = {"bad@x.test"}});
    CHECK(world.host("192.0.2.9:25").sources == std::vector<std::string>{source});
    CHECK(has(world.notification(), source == "192.0.2.20" ? "<postmaster@from.test>" : "<MAILER-DAEMON@mta.test>"));
}

TEST_CASE("a crash before the outcome is durable takes the notification with it, and one comes of the next",
          "[P1][P3]") {
    DsnWorld world;
    world.start();
    world.accept({.to = {"later@x.test"}});
    world.receiver().on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT")) return "550 5.1.1 no such user\r\n";
        return {};
    };
    world.spool.hold();
    world.advance(11min);
    CHECK(world.mailbox().empty());  // nothing goes out before it is durable
    world.spool.lose_unconfirmed();
    world.stop();
    world.spool.restart();
    world.start();
    world.advance(1s);
    CHECK(world.count(EventType::Bounced) == 1);
    CHECK(world.mailbox().size() == 1);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("a crash behind the outcome leaves the notification in the spool, and it goes out after the start",
          "[P1][P3]") {
    DsnWorld world;
    world.host("192.0.2.9:25").is_black_hole = true;
    world.start();
    world.accept({.to = {"bad@x.test"}});
    REQUIRE(world.spool.tasks().size() == 1);
    CHECK(world.count(EventType::Bounced) == 1);
    world.stop();
    world.spool.restart();
    world.host("192.0.2.9:25").is_black_hole = false;
    world.start();
    world.advance(1s);
    CHECK(world.count(EventType::Bounced) == 1);
    CHECK(world.mailbox().size() == 1);
    CHECK(has(world.notification(), "Final-Recipient: rfc822; bad@x.test"));
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("an outcome that has to be committed again makes no second notification", "[P3]") {
    DsnWorld world;
    world.start();
    world.accept({.to = {"later@x.test"}});
    world.receiver().on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT")) return "550 5.1.1 no such user\r\n";
        return {};
    };
    world.spool.fail_next_commits(2, {ErrorKind::Unavailable, "disk"});
    world.advance(11min);
    CHECK(world.count(EventType::Bounced) == 1);
    CHECK(world.mailbox().size() == 1);
    CHECK(world.spool.messages() == 0);
}

// --- late mail

TEST_CASE("who asked for it is told once that mail is late, and the mail goes on as before", "[X3461]") {
    DsnWorld world;
    world.start();
    world.accept({.to = {"later@x.test", "later2@x.test"}, .notify = kNotifyDelay});
    world.advance(29min);
    CHECK(world.mailbox().empty());
    CHECK(world.receiver().recipients_seen.size() == 6);  // at 0, 10 and 20 minutes
    world.advance(1min);
    const std::string text = world.notification();
    CHECK(has(text, "Subject: Delayed"));
    CHECK(occurrences(text, "\r\nAction: delayed\r\nStatus: 4.2.1\r\n") == 2);
    CHECK(occurrences(text, "\r\nWill-Retry-Until: ") == 2);
    CHECK(has(text, "you need not send it again"));
    world.advance(25min);
    CHECK(world.mailbox().size() == 1);
    CHECK(world.receiver().recipients_seen.size() == 12);  // neither more nor fewer attempts for it
    world.advance(6min);
    CHECK(world.count(EventType::Expired) == 2);
    CHECK(world.mailbox().size() == 1);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("late mail is told of in its time while its queue is paused, and over a restart", "[X3461]") {
    DsnWorld world;
    world.start();
    MailSelector queue;
    queue.queue = "x.test/v1";
    world.accept({.to = {"later@x.test"}, .notify = kNotifyDelay});
    world.pause(queue);
    world.advance(20min);
    SECTION("running") {}
    SECTION("restarted") {
        world.stop();
        world.spool.restart();
        world.start();
    }
    CHECK(world.mailbox().empty());
    world.advance(11min);
    CHECK(has(world.notification(), "Action: delayed"));
    const auto tasks = world.spool.tasks();
    REQUIRE(tasks.size() == 1);
    CHECK(tasks[0].recipients[0].delayed_notices == 1);
    CHECK_FALSE(tasks[0].notice_at);
    world.stop();
    world.spool.restart();
    world.start();
    world.advance(15min);
    CHECK(world.mailbox().size() == 1);
}

TEST_CASE("mail that is delivered, or expires, before its time is not told to be late", "[X3461]") {
    DsnWorld world;
    SECTION("delivered") {
        world.start();
        world.accept({.to = {"good@x.test"}, .notify = kNotifyDelay});
    }
    SECTION("expired") {
        world.shaping().expire_after = 20min;
        world.start();
        world.accept({.to = {"later@x.test"}, .notify = kNotifyDelay});
    }
    world.advance(61min);
    CHECK(world.mailbox().empty());
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("mail with a time by-mode N is told to be late when that has passed, and goes on", "[X2852]") {
    DsnWorld world;
    world.start();
    Mail mail{.to = {"later@x.test"}};
    mail.deliver_by = DeliverBy{world.executors[0]->wall_now() + 15min, DeliverBy::Mode::Notify, false};
    SECTION("nothing said about NOTIFY") {}
    SECTION("NOTIFY=DELAY: once, although delay_after comes later") { mail.notify = kNotifyDelay; }
    world.accept(mail);
    world.advance(14min);
    CHECK(world.mailbox().empty());
    world.advance(1min);
    CHECK(has(world.notification(), "Action: delayed\r\nStatus: 4.4.7\r\n"));
    CHECK(has(world.notification(), "The time by which it was to be delivered has passed."));
    world.receiver().on_command = nullptr;
    world.advance(40min);
    CHECK(world.mailbox().size() == 1);
    CHECK(world.count(EventType::Delivered) == 2);
}

TEST_CASE("a time by-mode N is not told to who does not want to hear of delays, nor to a null sender", "[X2852]") {
    DsnWorld world;
    world.start();
    Mail mail{.to = {"later@x.test"}};
    mail.deliver_by = DeliverBy{world.executors[0]->wall_now() + 15min, DeliverBy::Mode::Notify, false};
    SECTION("NOTIFY=NEVER") { mail.notify = kNotifyNever; }
    SECTION("NOTIFY=SUCCESS") { mail.notify = kNotifySuccess; }
    SECTION("null sender") { mail.from = ""; }
    SECTION("switched off") {
        world.shaping().dsn_delay = false;
        world.reload();
    }
    world.accept(mail);
    world.advance(45min);
    CHECK(world.mailbox().empty());
    CHECK(world.spool.tasks().size() == 1);
}

TEST_CASE("a crash around the notice of a delay makes one, not none and not two", "[X3461][P1][P3]") {
    DsnWorld world;
    world.start();
    world.accept({.to = {"later@x.test"}, .notify = kNotifyDelay});
    world.advance(29min);
    world.spool.hold();
    world.advance(2min);
    CHECK(world.mailbox().empty());
    world.spool.lose_unconfirmed();
    world.stop();
    world.spool.restart();
    world.start();
    world.advance(5min);
    CHECK(world.mailbox().size() == 1);
    CHECK(world.spool.tasks().size() == 1);
}

TEST_CASE("by-trace has every passing-on reported, also by a server that knows DSN", "[X2852]") {
    DsnWorld world;
    world.receiver().ehlo = "250-mx\r\n250-DSN\r\n250 SIZE\r\n";
    world.start();
    Mail mail{.to = {"good@x.test"}};
    mail.deliver_by = DeliverBy{world.executors[0]->wall_now() + 15min, DeliverBy::Mode::Notify, true};
    SECTION("unless it is not to be told of anything") {
        mail.notify = kNotifyNever;
        world.accept(mail);
        CHECK(world.mailbox().empty());
    }
    SECTION("told") {
        world.accept(mail);
        CHECK(has(world.notification(), "Action: relayed"));
    }
}
