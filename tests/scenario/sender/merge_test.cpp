// Mail merge in the sender: one stored text, a message for each recipient.
#include <catch2/catch.hpp>

#include <algorithm>

#include "postfleet/mime/short_lines.hpp"
#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kMx = "192.0.2.1:2526";

MergeVariables variables(std::initializer_list<std::pair<std::string_view, std::string_view>> entries) {
    MergeVariables all;
    for (const auto& [name, value] : entries) all.add(name, value);
    return all;
}

// Two parts: a header with a name and a body with a line for some.
Mail merged_mail() {
    Mail mail;
    const std::string first = "Subject: For [name]\r\n\r\nDear [name],\r\n", second = "and a gift.\r\n";
    mail.content = first + second;
    mail.merge.parts = {{1, first.size()}, {2, second.size()}};
    mail.merge.max_octets = 10'000;
    mail.has_leading_dots = false;
    return mail;
}

std::vector<std::string> contents(SenderWorld& world) {
    std::vector<std::string> all;
    for (const auto& delivery : world.host(kMx).deliveries) all.push_back(delivery.content);
    std::sort(all.begin(), all.end());
    return all;
}

void start(SenderWorld& world) {
    world.route("x.test", kMx);
    world.start();
}

}  // namespace

TEST_CASE("each recipient gets its own text, from what is stored once") {
    SenderWorld world;
    start(world);
    Mail mail = merged_mail();
    mail.to = {"ann@x.test", "bob@x.test"};
    mail.variables = {variables({{"name", "Ann"}, {"*parts", "1"}}), variables({{"name", "Bob"}})};
    world.accept(mail);
    CHECK(contents(world) ==
          std::vector<std::string>{"Received: from test\r\nSubject: For Ann\r\n\r\nDear Ann,\r\n",
                                   "Received: from test\r\nSubject: For Bob\r\n\r\nDear Bob,\r\nand a gift.\r\n"});
    CHECK(world.workers.priorities.empty());
    CHECK(world.spool.tasks().empty());
    CHECK(world.count(EventType::Delivered) == 2);
}

TEST_CASE("*from, *envid and *jobid are of their recipient, in the envelope and in the events") {
    SenderWorld world;
    start(world);
    Mail mail = merged_mail();
    mail.to = {"ann@x.test", "bob@x.test"};
    mail.variables = {variables({{"name", "Ann"}, {"*from", "b1@shop.test"}, {"*jobid", "j1"}, {"*envid", "e1"}}),
                      variables({{"name", "Bob"}})};
    world.accept(mail);
    REQUIRE(world.count(EventType::Delivered) == 2);
    for (const EventType type : {EventType::Accepted, EventType::Delivered}) {
        for (const Event& event : world.events(type)) {
            const bool is_ann = event.recipient == "ann@x.test";
            CHECK(event.message->reverse_path == (is_ann ? "b1@shop.test" : "sender@from.test"));
            CHECK(event.message->job == (is_ann ? "j1" : ""));
            CHECK(event.message->envelope_id == (is_ann ? "e1" : ""));
        }
    }
    std::vector<std::string> senders;
    for (const auto& peer : world.host(kMx).peers) {
        for (const std::string& line : peer->commands) {
            if (line.starts_with("MAIL")) senders.push_back(line.substr(0, line.find('>') + 1));
        }
    }
    std::sort(senders.begin(), senders.end());
    CHECK(senders == std::vector<std::string>{"MAIL FROM:<b1@shop.test>", "MAIL FROM:<sender@from.test>"});
}

TEST_CASE("VERP gives every recipient a reverse-path of its own, also without mail merge") {
    SenderWorld world;
    start(world);
    Mail mail;
    mail.verp = true;
    mail.to = {"ann@x.test"};
    world.accept(mail);
    REQUIRE(world.count(EventType::Delivered) == 1);
    CHECK(world.host(kMx).peers[0]->commands.at(1).starts_with("MAIL FROM:<sender-ann=x.test@from.test>"));
    CHECK(world.events(EventType::Delivered)[0].message->reverse_path == "sender-ann=x.test@from.test");
}

TEST_CASE("a text that cannot be merged fails for its recipient, and the others get theirs") {
    SenderWorld world;
    start(world);
    Mail mail = merged_mail();
    mail.to = {"ann@x.test", "evil@x.test", "bob@x.test"};
    mail.variables = {variables({{"name", "Ann"}}), variables({{"name", "x\r\nBcc: all@x.test"}}),
                      variables({{"name", "Bob"}})};
    world.accept(mail);
    CHECK(world.count(EventType::Delivered) == 2);
    REQUIRE(world.count(EventType::RenderingFailed) == 1);
    const Event failed = world.events(EventType::RenderingFailed)[0];
    CHECK(failed.recipient == "evil@x.test");
    CHECK(failed.reason == "the variable name has a line break, and stands in the header");
    CHECK(failed.attempt == 0);
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("a deferred recipient gets the same text at its retry, read back from the spool") {
    SenderWorld world;
    start(world);
    int refused = 0;
    world.host(kMx).on_command = [&](Peer&, const std::string& line) -> std::optional<std::string> {
        if (line == "." && refused++ == 0) return "451 4.3.0 not now\r\n";
        return std::nullopt;
    };
    Mail mail = merged_mail();
    mail.to = {"ann@x.test"};
    mail.variables = {variables({{"name", "Ann"}})};
    world.accept(mail);
    CHECK(world.count(EventType::Deferred) == 1);
    world.advance(15s);
    REQUIRE(world.count(EventType::Delivered) == 1);
    CHECK(contents(world).back() == "Received: from test\r\nSubject: For Ann\r\n\r\nDear Ann,\r\nand a gift.\r\n");
}

TEST_CASE("a large text is merged by the workers, over the borders of its chunks") {
    SenderWorld world;
    start(world);
    Mail mail = merged_mail();
    mail.merge.parts.pop_back();
    while (mail.content.size() < 2 * kContentChunkOctets) mail.content += "a line for [name]\r\n";
    mail.merge.parts[0].size_octets = mail.content.size();
    mail.merge.max_octets = 10 << 20;
    mail.to = {"ann@x.test"};
    mail.variables = {variables({{"name", "Ann"}})};
    world.accept(mail);
    REQUIRE(world.count(EventType::Delivered) == 1);
    const std::string& content = world.host(kMx).deliveries[0].content;
    CHECK(content.find('[') == std::string::npos);
    CHECK(content.ends_with("a line for Ann\r\n"));
    CHECK_FALSE(world.workers.priorities.empty());
}

TEST_CASE("a value at the beginning of a line is stuffed like any other dot", "[SEC-2]") {
    SenderWorld world;
    start(world);
    Mail mail = merged_mail();
    mail.content = "Subject: x\r\n\r\n[dot]\r\n";
    mail.merge.parts = {{1, mail.content.size()}};
    mail.to = {"ann@x.test"};
    mail.variables = {variables({{"dot", ".\r\n.\r\nMAIL FROM:<evil@x.test>"}})};
    world.accept(mail);
    REQUIRE(world.host(kMx).deliveries.size() == 1);
    CHECK(world.host(kMx).deliveries[0].content.ends_with("\r\n\r\n..\r\n..\r\nMAIL FROM:<evil@x.test>\r\n"));
}

TEST_CASE("a value with UTF-8 is announced as 8BITMIME, and converted where that is not offered", "[X6152]") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.host(kMx).ehlo = "250-mx.test\r\n250-SIZE 10000000\r\n250 PIPELINING\r\n";
    world.start();
    Mail mail = merged_mail();
    mail.content =
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\na text "
        "for [name]\r\n";
    mail.merge.parts = {{1, mail.content.size()}};
    mail.to = {"ann@x.test"};
    mail.variables = {variables({{"name", "J\xc3\xb6rg"}})};
    world.accept(mail);
    REQUIRE(world.host(kMx).deliveries.size() == 1);
    CHECK(world.host(kMx).deliveries[0].content.ends_with("\r\n\r\na text for J=C3=B6rg\r\n"));
}

TEST_CASE("M5322-2: a text whose lines are too long with the values in them is repaired for that recipient",
          "[M5322-2]") {
    SenderWorld world;
    start(world);
    Mail mail = merged_mail();
    mail.has_long_lines = true;
    mail.to = {"ann@x.test", "bob@x.test"};
    mail.variables = {variables({{"name", std::string(900, 'a') + " " + std::string(900, 'b')}}),
                      variables({{"name", "Bob"}})};
    world.accept(mail);
    const auto all = contents(world);
    REQUIRE(all.size() == 2);
    CHECK(all[0] == "Received: from test\r\nSubject: For Bob\r\n\r\nDear Bob,\r\nand a gift.\r\n");
    CHECK_FALSE(mime::has_long_line(all[1]));
    CHECK(all[1].find("Subject: For " + std::string(900, 'a') + "\r\n " + std::string(900, 'b') + "\r\nMIME-Version") !=
          std::string::npos);
    CHECK(all[1].find("\r\n\r\nDear aaaa") != std::string::npos);
    CHECK(world.workers.priorities.empty());
}
