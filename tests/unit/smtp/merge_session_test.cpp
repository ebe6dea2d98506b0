// Mail merge in the server session, beside the dialogues merge*.txt.
#include <catch2/catch.hpp>

#include "session_fixture.hpp"

namespace postfleet::smtp {
namespace {

struct MergeSession : SessionFixture {
    MergeSession() {
        settings.offers_merge = true;
        session.open(out);
        say("EHLO c.example\r\n");
    }
    void begin_parts() {
        REQUIRE(say("XMRG FROM:<a@b.example>\r\n").starts_with("250"));
        REQUIRE(say("RCPT TO:<c@d.example>\r\n").starts_with("250"));
    }
    std::string part(const std::string& argument, const std::string& text) {
        REQUIRE(say("XPRT " + argument + "\r\n").starts_with("354"));
        return say(text + ".\r\n");
    }
};

}  // namespace

TEST_CASE("parts larger than a chunk come whole, with their sizes", "[smtp][server]") {
    MergeSession f;
    f.begin_parts();
    std::string first = "Subject: x\r\n\r\n", second;
    while (first.size() < kContentChunkOctets + 1000) first += "a line of the first part\r\n";
    while (second.size() < 2 * kContentChunkOctets) second += "a line of the second part\r\n";
    CHECK(f.part("1", first).starts_with("250 2.6.0"));
    CHECK(f.part("2 LAST", second).starts_with("250 2.0.0"));
    REQUIRE(f.policy.messages.size() == 1);
    CHECK(f.policy.messages[0].content == "1:" + first + "2:" + second);
    CHECK(f.policy.chunk_sizes.size() == 3);
}

TEST_CASE("what any part has of dots and octets counts", "[smtp][server]") {
    MergeSession f;
    f.begin_parts();
    f.part("1", "..dot\r\n");
    f.part("2", "\xc3\xb6\r\n");
    f.part("3 LAST", "x\r\n");
    CHECK(f.policy.messages.at(0).has_leading_dots);
    CHECK(f.policy.messages.at(0).has_eight_bit);
}

TEST_CASE("a part that comes before its 354 closes the connection", "[SEC-1]") {
    MergeSession f;
    f.begin_parts();
    CHECK(f.say("XPRT 1 LAST\r\nearly\r\n.\r\n").starts_with("554"));
    CHECK(f.session.is_closed());
    CHECK(f.policy.messages.empty());
    CHECK(f.policy.abandoned == 1);
}

TEST_CASE("bare line ends in a part refuse the message", "[SEC-1]") {
    MergeSession f;
    f.begin_parts();
    REQUIRE(f.say("XPRT 1\r\n").starts_with("354"));
    CHECK(f.say("a\nb\r\n.\r\n").starts_with("550 5.5.2"));
    CHECK_FALSE(f.session.is_in_transaction());
}

TEST_CASE("a message has at most 256 parts", "[smtp][server]") {
    MergeSession f;
    f.begin_parts();
    for (std::size_t i = 1; i <= kMaxMergeParts; ++i) REQUIRE(f.part(std::to_string(i), "x\r\n").starts_with("250"));
    CHECK(f.say("XPRT 300 LAST\r\n").starts_with("552"));
}

TEST_CASE("STARTTLS forgets XACK, and a draining session hears its refusal before 421", "[smtp][server]") {
    MergeSession f;
    f.settings.offers_starttls = true;
    f.say("XACK OFF\r\nSTARTTLS\r\n");
    f.session.secured();
    f.say("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n");
    CHECK(f.say("RCPT TO:<c@d.example>\r\n").starts_with("250"));
    f.say("RSET\r\nXACK OFF\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<refuse@d.example>\r\n");
    f.session.drain(f.out);
    const std::string reply = f.say("DATA\r\n");
    CHECK(reply.starts_with("550 5.7.1 Not allowed\r\n421 4.3.2"));
    CHECK(f.session.is_closed());
}

TEST_CASE("too many refused recipients close the connection, said or not", "[smtp][server]") {
    MergeSession f;
    f.settings.max_errors = 3;
    f.say("XACK OFF\r\nMAIL FROM:<a@b.example>\r\n");
    CHECK(f.say("RCPT TO:<refuse@d.example>\r\nRCPT TO:<refuse@d.example>\r\n").empty());
    CHECK(f.say("RCPT TO:<refuse@d.example>\r\n").find("421 4.7.0") != std::string::npos);
    CHECK(f.session.is_closed());
}

}  // namespace postfleet::smtp
