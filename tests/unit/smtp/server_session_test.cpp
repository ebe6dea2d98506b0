// What dialogues cannot show: sizes, chunks, shutting down, lost connections, buffers.
#include <catch2/catch.hpp>

#include "session_fixture.hpp"

namespace postfleet::smtp {
namespace {

struct Fixture : SessionFixture {
    void open() {
        session.open(out);
        say("EHLO client.example\r\n");
    }
    void begin_data() {
        say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
        REQUIRE(say("DATA\r\n").starts_with("354"));
    }
};

std::string lines(std::size_t octets) {
    std::string text;
    while (text.size() + 80 <= octets) text += std::string(78, 'x') + "\r\n";
    if (text.size() < octets) text += std::string(octets - text.size() - 2, 'y') + "\r\n";
    return text;
}

}  // namespace

TEST_CASE("a message of exactly the limit is taken, one octet more is not", "[smtp][S5321-6]") {
    for (const bool over : {false, true}) {
        Fixture f;
        f.settings.max_message_octets = 1000;
        f.open();
        f.begin_data();
        const std::string reply = f.say(lines(over ? 1001 : 1000) + ".\r\n");
        CHECK(reply == (over ? "552 5.3.4 Message too big\r\n" : "250 2.0.0 Ok: queued\r\n"));
        CHECK(f.policy.messages.size() == (over ? 0u : 1u));
        CHECK(f.policy.abandoned == (over ? 1u : 0u));
        CHECK(f.say("NOOP\r\n") == "250 2.0.0 Ok\r\n");
    }
}

TEST_CASE("a client that goes on and on after the limit is cut off", "[smtp]") {
    Fixture f;
    f.settings.max_message_octets = 100'000;
    f.open();
    f.begin_data();
    std::string reply;
    int pieces = 0;
    while (!f.session.is_closed() && pieces++ < 100) reply += f.say(lines(10'000));
    CHECK(f.session.is_closed());
    CHECK(pieces < 30);
    CHECK(reply == "552 5.3.4 Message too big\r\n");
}

TEST_CASE("large content leaves in full chunks and the rest with the end", "[smtp]") {
    constexpr std::size_t kSizes[] = {kContentChunkOctets - 2, kContentChunkOctets, kContentChunkOctets + 2,
                                      3 * kContentChunkOctets, 3 * kContentChunkOctets + 100};
    for (const std::size_t size : kSizes) {
        for (const std::size_t piece : {std::size_t{1000}, std::size_t{65536}, std::size_t{2'000'000}}) {
            INFO(size << " in pieces of " << piece);
            Fixture f;
            f.open();
            f.begin_data();
            const std::string content = lines(size);
            const std::string wire = content + ".\r\n";
            std::string reply;
            for (std::size_t at = 0; at < wire.size(); at += piece) reply += f.say(wire.substr(at, piece));
            CHECK(reply == "250 2.0.0 Ok: queued\r\n");
            REQUIRE(f.policy.messages.size() == 1);
            CHECK(f.policy.messages[0].content == content);
            CHECK(f.policy.messages[0].chunks == (size - 1) / kContentChunkOctets + 1);
        }
    }
}

TEST_CASE("reading stops while a chunk is not stored, and what came is kept", "[smtp]") {
    Fixture f;
    f.policy.chunks_wait = true;
    f.open();
    f.begin_data();
    const std::string content = lines(2 * kContentChunkOctets + 5000);
    const std::string wire = content + ".\r\nNOOP\r\n";
    std::string reply;
    for (std::size_t at = 0; at < wire.size() || !f.session.wants_input();) {
        if (f.session.wants_input()) {
            reply += f.say(wire.substr(at, 65536));
            at += 65536;
            continue;
        }
        CHECK(f.session.waiting_for() == ServerSession::Waiting::Decision);
        CHECK(f.session.unread_octets() <= 65536);
        f.session.resume(Decision::accept(), f.out);
        reply += std::exchange(f.out, {});
    }
    CHECK(reply == "250 2.0.0 Ok: queued\r\n250 2.0.0 Ok\r\n");
    CHECK(f.policy.chunk_sizes.size() == 2);
    CHECK(f.policy.messages.at(0).content == content);
}

TEST_CASE("a chunk that could not be stored is told at the end of the data", "[smtp]") {
    Fixture f;
    f.policy.chunks_wait = true;
    f.open();
    f.begin_data();
    const std::string wire = lines(kContentChunkOctets + 5000) + ".\r\n";
    f.say(wire);
    REQUIRE_FALSE(f.session.wants_input());
    f.session.resume(Decision::refuse(452, {4, 3, 1}, "Full"), f.out);
    CHECK(f.out == "452 4.3.1 Full\r\n");
    CHECK(f.policy.abandoned == 1);
    CHECK(f.session.state() == ServerSession::State::Ready);
}

TEST_CASE("shutting down tells an idle client 421 at once", "[smtp][S5321-1]") {
    Fixture f;
    f.open();
    f.session.drain(f.out);
    CHECK(f.out == "421 4.3.2 mx.example is shutting down\r\n");
    CHECK(f.session.is_closed());
}

TEST_CASE("shutting down lets an open transaction finish, then says 421", "[smtp][S5321-1]") {
    Fixture f;
    f.open();
    f.begin_data();
    f.session.drain(f.out);
    CHECK(f.out.empty());
    CHECK(f.say("x\r\n.\r\n") == "250 2.0.0 Ok: queued\r\n421 4.3.2 mx.example is shutting down\r\n");
    CHECK(f.session.is_closed());
}

TEST_CASE("shutting down while the store thinks lets it answer first", "[smtp]") {
    Fixture f;
    f.open();
    f.begin_data();
    f.say("X-Later: 1\r\n\r\n.\r\n");
    f.session.drain(f.out);
    CHECK(f.out.empty());
    f.session.resume(Decision::accept(), f.out);
    CHECK(f.out == "250 2.0.0 Ok: queued\r\n421 4.3.2 mx.example is shutting down\r\n");
}

TEST_CASE("shutting down before the greeting greets with 421", "[smtp]") {
    Fixture f;
    f.session.drain(f.out);
    f.session.open(f.out);
    CHECK(f.out == "421 4.3.2 mx.example is shutting down\r\n");
}

TEST_CASE("a client that is too slow hears 421 in every state in which it is waited for", "[smtp][S5321-10]") {
    const std::string kSaid[] = {"",
                                 "EHLO c\r\n",
                                 "EHLO c\r\nMAIL FROM:<a@b.example>\r\n",
                                 "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n",
                                 "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 100\r\nx",
                                 "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"};
    for (const std::string& said : kSaid) {
        INFO(said);
        Fixture f;
        f.session.open(f.out);
        f.say(said);
        const bool in_transaction = f.session.is_in_transaction();
        f.session.time_out(f.out);
        CHECK(std::exchange(f.out, {}) == "421 4.4.2 mx.example has waited too long\r\n");
        CHECK(f.session.is_closed());
        CHECK(f.policy.abandoned == (in_transaction ? 1u : 0u));
        CHECK(f.policy.refusals.back() == Refusal::TimedOut);
        f.session.time_out(f.out);
        CHECK(f.out.empty());
    }
}

TEST_CASE("no 421 while the store thinks: what becomes of the message is not known", "[smtp][S5321-8]") {
    Fixture f;
    f.open();
    f.begin_data();
    f.say("X-Later: 1\r\n\r\n.\r\n");
    f.session.time_out(f.out);
    f.session.shut_down(f.out);
    CHECK(f.out.empty());
    f.session.resume(Decision::accept(), f.out);
    CHECK(f.out == "250 2.0.0 Ok: queued\r\n");
}

TEST_CASE("out of time, shutting down ends transactions with 421 too", "[smtp][S5321-1]") {
    Fixture f;
    f.open();
    f.begin_data();
    f.session.shut_down(f.out);
    CHECK(f.out == "421 4.3.2 mx.example is shutting down\r\n");
    CHECK(f.policy.abandoned == 1);
}

TEST_CASE("a lost connection abandons the open transaction once", "[smtp]") {
    Fixture f;
    f.open();
    f.begin_data();
    f.say("half a li");
    f.session.lose();
    f.session.lose();
    CHECK(f.policy.abandoned == 1);
    CHECK(f.session.waiting_for() == ServerSession::Waiting::Nothing);
}

TEST_CASE("a lost connection while the store thinks abandons what the store may still keep", "[smtp]") {
    Fixture f;
    f.open();
    f.begin_data();
    f.say("X-Later: 1\r\n\r\n.\r\n");
    f.session.lose();
    CHECK(f.policy.abandoned == 1);
}

TEST_CASE("a message accepted forgives the mistakes before it", "[smtp]") {
    Fixture f;
    f.settings.max_errors = 3;
    f.open();
    for (int round = 0; round < 5; ++round) {
        CHECK(f.say("BAD\r\nBAD\r\n") == "500 5.5.1 Command not known\r\n500 5.5.1 Command not known\r\n");
        f.begin_data();
        CHECK(f.say(".\r\n").starts_with("250"));
    }
    CHECK_FALSE(f.session.is_closed());
}

TEST_CASE("far too many recipients become mistakes", "[smtp]") {
    Fixture f;
    f.settings.max_recipients = 1;
    f.open();
    f.say("MAIL FROM:<a@b.example>\r\n");
    std::string replies;
    for (int i = 0; i < 1030 && !f.session.is_closed(); ++i) replies = f.say("RCPT TO:<c@d.example>\r\n");
    CHECK(f.session.is_closed());
    CHECK(replies == "452 4.5.3 Too many recipients\r\n421 4.7.0 Too many errors\r\n");
}

TEST_CASE("the reasons of refusals are told to the policy", "[smtp]") {
    Fixture f;
    f.settings.max_errors = 100;
    f.open();
    f.say("BAD\r\nRCPT TO:<a@b.example>\r\nMAIL FROM:<a\r\nMAIL FROM:<a@b.example> X\r\nEHLO\r\n");
    CHECK(f.policy.refusals == std::vector<Refusal>{Refusal::UnknownCommand, Refusal::Sequence, Refusal::Syntax,
                                                    Refusal::UnknownParameter, Refusal::Syntax});
}

TEST_CASE("a reply of the policy is one line of at most 512 octets without control octets", "[smtp][S5321-10]") {
    Fixture f;
    f.policy.connection = Decision::refuse(554, {5, 7, 1}, "a\r\n250 fake\x80" + std::string(1000, 'x'));
    f.session.open(f.out);
    CHECK(f.out.size() == 512);
    CHECK(f.out.starts_with("554 5.7.1 a??250 fake?xxx"));
    CHECK(f.out.find('\n') == 511);
}

TEST_CASE("a client that has not said EHLO since HELO is not extended", "[smtp]") {
    Fixture f;
    f.open();
    CHECK(f.session.is_extended());
    f.say("HELO other.example\r\n");
    CHECK_FALSE(f.session.is_extended());
    CHECK(f.session.hello_name() == "other.example");
}

TEST_CASE("STARTTLS that cannot be had now leaves the session in the clear, and is no mistake", "[smtp][X3207][SEC-10]") {
    Fixture f;
    f.settings.offers_starttls = true;
    f.settings.max_errors = 1;
    f.policy.starttls = Decision::refuse(454, {4, 7, 0}, "TLS is not available");
    f.open();
    CHECK(f.say("STARTTLS\r\n") == "454 4.7.0 TLS is not available\r\n");
    CHECK_FALSE(f.session.wants_tls());
    CHECK(f.say("MAIL FROM:<a@b.example>\r\n").starts_with("250"));
    f.say("RSET\r\n");
    f.policy.starttls = Decision::accept();
    CHECK(f.say("STARTTLS\r\n").starts_with("220"));
    CHECK(f.session.wants_tls());
}

}  // namespace postfleet::smtp
