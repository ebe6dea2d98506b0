#include "tools/load.hpp"

#include <catch2/catch.hpp>

#include <set>

namespace postfleet::tools {
namespace {

LoadReport run(LoadOptions options) {
    options.wait = std::chrono::seconds(5);
    auto load = Load::open(options);
    INFO((load ? "" : load.error().text));
    REQUIRE(load);
    return run_to_end(**load, [](const Load&) { return true; });
}

LoadOptions to_own_sink() {
    LoadOptions options;
    options.sink = *Endpoint::parse("127.0.0.1:0");
    return options;
}

TEST_CASE("every message of a load arrives once at its sink, whatever the way of sending") {
    LoadOptions options = to_own_sink();
    options.messages = 2000;
    options.recipients = 3;
    SECTION("pipelined, reused, two threads each") {
        options.threads = 2;
        options.sink_threads = 2;
    }
    SECTION("lockstep") { options.pipelining = false; }
    SECTION("one message per connection") { options.messages_per_connection = 1; }
    SECTION("seven messages per connection, mixed sizes, spread recipients") {
        options.messages_per_connection = 7;
        options.sizes = {{100, 1}, {2048, 3}, {200'000, 1}};
        options.spread_recipients = true;
    }
    const LoadReport report = run(options);
    CHECK(report.is_good());
    CHECK(report.counts.accepted == 2000);
    CHECK(report.counts.accepted_recipients == 6000);
    CHECK(report.sink.messages == 2000);
    CHECK(report.check.unique == 6000);
    CHECK(report.check.lost == 0);
    CHECK(report.check.duplicated == 0);
    CHECK(report.sink.latency.count() == 2000);
    CHECK(report.sink.latency.max() < std::chrono::seconds(10));
    if (options.messages_per_connection == 1) CHECK(report.counts.connections == 2000);
    if (options.messages_per_connection == 7) CHECK(report.counts.connections >= 2000 / 7);
    CHECK(report.sink.recipients_by_domain.size() == 10);
    CHECK(report.counts.lost_connections == 0);
}

TEST_CASE("a message has the size that was asked for, and its headers") {
    LoadOptions options = to_own_sink();
    options.messages = 50;
    options.sizes = {{10'000, 1}};
    options.headers = {"X-Job: spring"};
    const LoadReport report = run(options);
    CHECK(report.sink.octets <= 50 * 10'000);
    CHECK(report.sink.octets >= 50 * 9'998);
    const MessageMaker maker(options);
    std::string head;
    const auto pieces = maker.content(3, steady_clock_now(), head);
    CHECK(head.find("X-Job: spring\r\n") != std::string::npos);
    CHECK(head.find("X-Load-Id: " + maker.id(3) + "\r\n") == 0);
    CHECK(pieces[2].octets == "\r\n.\r\n");
}

TEST_CASE("a rate is kept, evenly") {
    LoadOptions options = to_own_sink();
    options.messages = 100;
    options.rate = 500;
    const LoadReport report = run(options);
    CHECK(report.is_good());
    CHECK(report.seconds >= 0.195);
    CHECK(report.seconds < 2);
}

TEST_CASE("a duration ends a load without a number of messages") {
    LoadOptions options = to_own_sink();
    options.messages = 0;
    options.duration = std::chrono::milliseconds(150);
    const LoadReport report = run(options);
    CHECK(report.is_good());
    CHECK(report.counts.accepted > 10);
    CHECK(report.seconds < 5);
    options.duration = {};
    CHECK_FALSE(Load::open(options));
}

TEST_CASE("refused recipients and messages are counted for what they are") {
    LoadOptions options = to_own_sink();
    options.messages = 30;
    options.users = 3;
    options.to = "user%d@dest.test";
    SECTION("4xx at rcpt") {
        options.sink_rules = {"rcpt to=user1@* reply=\"450 4.2.1 later\""};
        const LoadReport report = run(options);
        CHECK_FALSE(report.is_good());
        CHECK(report.counts.accepted == 20);
        CHECK(report.counts.deferred == 10);
        CHECK(report.counts.refused_recipients == 10);
        CHECK(report.counts.first_refusal == "450 4.2.1 later");
        CHECK(report.check.lost == 0);
    }
    SECTION("5xx at the end, lockstep") {
        options.pipelining = false;
        options.sink_rules = {"end-of-data to=user1@* reply=\"554 5.7.1 no\""};
        const LoadReport report = run(options);
        CHECK(report.counts.accepted == 20);
        CHECK(report.counts.rejected == 10);
    }
    SECTION("5xx at mail") {
        options.pipelining = GENERATE(true, false);
        options.sink_rules = {"mail reply=\"550 5.7.1 not you\""};
        const LoadReport report = run(options);
        CHECK(report.counts.accepted == 0);
        CHECK(report.counts.rejected == 30);
    }
    SECTION("some recipients of a message") {
        options.pipelining = GENERATE(true, false);
        options.recipients = 3;
        options.sink_rules = {"rcpt to=user2@* reply=\"550 5.1.1 unknown\""};
        const LoadReport report = run(options);
        CHECK(report.counts.accepted == 30);
        CHECK(report.counts.accepted_recipients == 60);
        CHECK(report.counts.refused_recipients == 30);
        CHECK(report.check.unique == 60);
        CHECK(report.check.lost == 0);
    }
    SECTION("the connection lost after the content") {
        options.sink_rules = {"end-of-data to=user1@* close"};
        const LoadReport report = run(options);
        CHECK(report.counts.accepted == 20);
        CHECK(report.counts.unknown == 10);
    }
    SECTION("421 to a command") {
        options.sink_rules = {"mail first=5 reply=yahoo-tss04"};
        const LoadReport report = run(options);
        CHECK(report.counts.accepted == 25);
        CHECK(report.counts.deferred == 5);
    }
}

TEST_CASE("with retries a deferred message is sent again until it is taken") {
    LoadOptions options = to_own_sink();
    options.messages = 40;
    options.retries = 3;
    options.retry_after = std::chrono::milliseconds(10);
    options.sink_rules = {"rcpt first=2 reply=\"450 4.2.1 later\"", "connect first=3 close"};
    const LoadReport report = run(options);
    CHECK(report.counts.accepted == 40);
    CHECK(report.counts.retries == 80);
    CHECK(report.counts.deferred == 0);
    CHECK(report.check.unique == 40);
    CHECK(report.check.duplicated == 0);
}

TEST_CASE("a server that is not there ends the load with a reason") {
    LoadOptions options;
    {
        LoadOptions other = to_own_sink();
        auto load = Load::open(other);
        REQUIRE(load);
        options.target = (*load)->sink_address();
    }
    options.patience = std::chrono::milliseconds(300);
    const LoadReport report = run(options);
    CHECK_FALSE(report.is_good());
    CHECK(report.failure.find("nobody greets at " + options.target.to_string()) == 0);
    CHECK(report.counts.accepted == 0);
}

TEST_CASE("addresses count users and domains") {
    const AddressTemplate address("user%d@dest%d.test", 5, 3);
    std::set<std::string> seen;
    for (std::uint64_t i = 0; i < 30; ++i) {
        std::string text;
        address.append(text, i, i);
        seen.insert(text);
    }
    CHECK(seen.size() == 15);
    CHECK(seen.count("user4@dest1.test") == 1);
    std::string plain;
    AddressTemplate("someone@example.test", 9, 9).append(plain, 7, 7);
    CHECK(plain == "someone@example.test");
}

TEST_CASE("the report says what matters, as text and as JSON") {
    LoadOptions options = to_own_sink();
    options.messages = 10;
    LoadReport report = run(options);
    const std::string text = format_load_report(report, false);
    for (const char* word : {"accepted", "received", "lost", "duplicated", "accept latency", "end-to-end latency"}) {
        CHECK(text.find(word) != std::string::npos);
    }
    const std::string json = format_load_report(report, true);
    CHECK(json.find("\"ok\":true") != std::string::npos);
    CHECK(json.find("\"lost\":0") != std::string::npos);
}

}  // namespace
}  // namespace postfleet::tools
