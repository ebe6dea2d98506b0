// BDAT where dialogues do not reach: wrong sizes, many chunks, large ones, every cut and every loss (RFC 3030).
#include <catch2/catch.hpp>

#include "session_fixture.hpp"

namespace postfleet::smtp {
namespace {

struct Fixture : SessionFixture {
    void begin() {
        session.open(out);
        say("EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    }
};

std::string chunk(std::string_view content, std::string_view last = "") {
    return "BDAT " + std::to_string(content.size()) + std::string(last) + "\r\n" + std::string(content);
}

}  // namespace

TEST_CASE("a chunk whose size cannot be read closes: what follows could be anything", "[smtp][X3030][SEC-6]") {
    const std::string sizes[] = {"",         " -1",
                                 " +5",      " 0x10",
                                 " 1e9",     " 18446744073709551616",
                                 " 1 LASTS", " 1 LAST LAST",
                                 " LAST",    " " + std::string(1000, '1'),
                                 " 1\t\t2"};
    for (const std::string& size : sizes) {
        INFO(size);
        Fixture f;
        f.begin();
        CHECK(f.say("BDAT" + size + "\r\nQUIT\r\n") == "501 5.5.4 Syntax: BDAT size [LAST]; closing\r\n");
        CHECK(f.session.is_closed());
        CHECK(f.policy.abandoned == 1);
    }
}

TEST_CASE("a chunk that is announced far beyond the limit is cut off, and costs no memory", "[smtp][X3030][SEC-6]") {
    for (const char* const size : {"18446744073709551615", "4294967296"}) {
        Fixture f;
        f.settings.max_message_octets = 100'000;
        f.begin();
        CHECK(f.say("BDAT " + std::string(size) + " LAST\r\n").empty());
        std::string reply;
        int pieces = 0;
        while (!f.session.is_closed() && pieces++ < 100) reply += f.say(std::string(10'000, 'x'));
        CHECK(pieces < 30);
        CHECK(reply == "552 5.3.4 Message too big\r\n");
    }
    Fixture f;  // where there is no transaction at all
    f.settings.max_message_octets = 100'000;
    f.session.open(f.out);
    f.say("HELO c\r\nBDAT 18446744073709551615\r\n");
    for (int i = 0; i < 100 && !f.session.is_closed(); ++i) f.say(std::string(10'000, 'x'));
    CHECK(f.session.is_closed());
}

TEST_CASE("a size with zeros in front is a size", "[smtp][X3030][SEC-6]") {
    Fixture f;
    f.begin();
    CHECK(f.say("BDAT 007 LAST\r\n1234567NOOP\r\n") == "250 2.0.0 Ok: queued\r\n250 2.0.0 Ok\r\n");
}

TEST_CASE("a hundred thousand chunks of one octet are one message", "[smtp][X3030][SEC-6]") {
    Fixture f;
    f.begin();
    for (int i = 0; i < 100'000; ++i) REQUIRE(f.say("BDAT 1\r\nx") == "250 2.0.0 Ok\r\n");
    CHECK(f.say("BDAT 2 LAST\r\n\r\n") == "250 2.0.0 Ok: queued\r\n");
    CHECK(f.policy.messages.at(0).content == std::string(100'000, 'x') + "\r\n");
}

TEST_CASE("large content leaves in full chunks, whatever those of BDAT are", "[smtp][X3030]") {
    for (const std::size_t size :
         {kContentChunkOctets - 1, kContentChunkOctets, kContentChunkOctets + 1, 3 * kContentChunkOctets + 7}) {
        for (const std::size_t piece : {std::size_t{70'000}, std::size_t{2'000'000}}) {
            for (const bool waits : {false, true}) {
                INFO(size << " in chunks of " << piece << " waits " << waits);
                Fixture f;
                f.policy.chunks_wait = waits;
                f.begin();
                const std::string content(size, 'z');
                std::string reply;
                for (std::size_t at = 0; at < size; at += piece) {
                    reply +=
                        f.say(chunk(std::string_view(content).substr(at, piece), at + piece < size ? "" : " LAST"));
                    while (f.session.waiting_for() == ServerSession::Waiting::Decision) {
                        f.session.resume(Decision::accept(), f.out);
                        reply += std::exchange(f.out, {});
                    }
                }
                CHECK(reply.ends_with("250 2.0.0 Ok: queued\r\n"));
                REQUIRE(f.policy.messages.size() == 1);
                CHECK(f.policy.messages[0].content == content + "\r\n");
                CHECK(f.policy.messages[0].chunks == (size + 1) / kContentChunkOctets + 1);
            }
        }
    }
}

TEST_CASE("no sequence ends a chunk, and none gets in with bare line ends, cut anywhere",
          "[smtp][X3030][SEC-1][SEC-2]") {
    using namespace std::string_literals;
    const std::string sequences[] = {"\n.\n"s,   "\n.\r\n"s, "\r.\r"s,       "\r.\r\n"s,
                                     "\r\n.\n"s, "\r\n.\r"s, "\r\n\0.\r\n"s, "\r\n.\0\r\n"s,
                                     "\n.\r"s,   "\r.\n"s,   "\r\r\n.\r\n"s, "\r\n.\r\r\n"s};
    for (const auto policy : {LineEndPolicy::Strict, LineEndPolicy::Normalize}) {
        for (const std::string& sequence : sequences) {
            const std::string content = "Subject: x\r\n\r\nhello" + sequence + "MAIL FROM:<evil@x.example>\r\n";
            const std::string wire = chunk(content, " LAST") + "NOOP\r\n";
            for (std::size_t cut = 1; cut < wire.size(); ++cut) {
                Fixture f;
                f.settings.line_ends = policy;
                f.begin();
                std::string reply = f.say(wire.substr(0, cut));
                reply += f.say(wire.substr(cut));
                CAPTURE(reply, sequence, cut);
                CHECK(reply.ends_with("\r\n250 2.0.0 Ok\r\n"));
                CHECK(reply.starts_with(policy == LineEndPolicy::Strict ? "55" : "250"));
                CHECK(f.policy.messages.size() == (policy == LineEndPolicy::Strict ? 0u : 1u));
                for (const auto& message : f.policy.messages) {
                    for (std::size_t i = 0; i < message.content.size(); ++i) {
                        const char c = message.content[i];
                        if (c == '\n' && message.content[i - 1] != '\r') FAIL("a bare LF got in");
                        if (c == '\r' && message.content.substr(i + 1, 1) != "\n") FAIL("a bare CR got in");
                    }
                }
            }
        }
    }
    Fixture f;  // the one that is legal here
    f.begin();
    CHECK(f.say(chunk("a\r\n.\r\nMAIL FROM:<evil@x.example>\r\n", " LAST")) == "250 2.0.0 Ok: queued\r\n");
    CHECK(f.policy.messages.at(0).has_leading_dots);  // so that it goes out stuffed
}

TEST_CASE("a connection lost at any octet of chunks leaves no message", "[smtp][X3030][SEC-5]") {
    const std::string wire = chunk("Subject: x\r\n") + chunk("\r\nhello") + "BDAT 7 LAST\r\n world";
    for (std::size_t at = 0; at <= wire.size(); ++at) {
        Fixture f;
        f.begin();
        f.say(wire.substr(0, at));
        f.session.lose();
        CHECK(f.policy.abandoned == 1);
        CHECK(f.policy.messages.empty());
    }
}

TEST_CASE("shutting down between chunks lets the message end first", "[smtp][X3030]") {
    Fixture f;
    f.begin();
    f.say(chunk("abc"));
    f.session.drain(f.out);
    CHECK(f.out.empty());
    CHECK(f.say(chunk("def", " LAST")) == "250 2.0.0 Ok: queued\r\n421 4.3.2 mx.example is shutting down\r\n");
}

}  // namespace postfleet::smtp
