// CHUNKING as a client (RFC 3030): the message goes out with its envelope, and every answer to that has its end.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "postfleet/smtp/client_session.hpp"

using namespace postfleet;
using namespace postfleet::smtp;
using State = ClientSession::State;
using Step = ClientSession::Step;

namespace {

class Talk {
public:
    explicit Talk(std::string_view offer = "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n") {
        for (const char* address : {"a@x.example", "b@x.example"}) recipients_.emplace_back().address = address;
        transaction.recipients = recipients_;
        say("220 mx\r\n");
        say(offer);
        sent();
    }

    Step say(std::string_view octets) {
        Step step = Step::Wait;
        while (!octets.empty() && !session.is_closed()) {
            step = session.on_octets(octets, out_);
            if (step == Step::SendBody) session.body_written();
        }
        return step;
    }
    std::string sent() { return std::exchange(out_, {}); }
    Step begin() { return session.begin(transaction, out_); }
    // A first message by DATA, which the server takes.
    void warm_up() {
        CHECK(begin() == Step::Wait);
        CHECK(sent().ends_with("DATA\r\n"));
        CHECK(say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n") == Step::SendBody);
        CHECK(say("250 taken\r\n") == Step::TransactionDone);
        session.take_result();
    }
    TransactionResult result() { return session.take_result(); }

    ClientSession session{{.ehlo_name = "out.example"}};
    ClientTransaction transaction{
        .reverse_path = "f@a.example", .recipients = {}, .size_octets = 100, .chunk_octets = 100};

private:
    std::vector<Recipient> recipients_;
    std::string out_;
};

constexpr const char* kEnvelope =
    "MAIL FROM:<f@a.example>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nBDAT 100 LAST\r\n";

}  // namespace

TEST_CASE("a small message goes out with its envelope, once the server has taken the one before", "[X3030]") {
    Talk talk;
    talk.warm_up();
    CHECK(talk.begin() == Step::SendBody);
    CHECK(talk.session.is_chunked());
    CHECK(talk.sent() == kEnvelope);
    CHECK(talk.say("250 ok\r\n250 ok\r\n250 ok\r\n250 2.0.0 taken\r\n") == Step::TransactionDone);
    const TransactionResult result = talk.result();
    CHECK(result.phase == SmtpPhase::EndOfData);
    CHECK(result.reply == Reply{250, {2, 0, 0}, "taken"});
    CHECK(talk.begin() == Step::SendBody);  // and so does the next one
}

TEST_CASE("DATA where a chunk may not be, or is not offered", "[X3030]") {
    const std::string offer = GENERATE("250-mx\r\n250 PIPELINING\r\n", "250-mx\r\n250 CHUNKING\r\n");
    Talk talk(offer);
    for (int i = 0; i < 2; ++i) {
        CHECK(talk.begin() == Step::Wait);
        CHECK_FALSE(talk.session.is_chunked());
        if (offer.find("PIPELINING") != std::string::npos) {
            CHECK(talk.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n") == Step::SendBody);
        } else {
            for (int replies = 0; replies < 3; ++replies) talk.say("250 ok\r\n");
            CHECK(talk.say("354 go\r\n") == Step::SendBody);
        }
        CHECK(talk.say("250 taken\r\n") == Step::TransactionDone);
        talk.result();
    }
    Talk large;
    large.warm_up();
    large.transaction.chunk_octets = 0;  // the driver says so
    CHECK(large.begin() == Step::Wait);
    CHECK(large.sent().ends_with("DATA\r\n"));
}

TEST_CASE("what is refused of a message in a chunk: RSET comes next, and then DATA", "[X3030][C5321-5]") {
    Talk talk;
    talk.warm_up();
    talk.begin();
    SECTION("one recipient") {
        CHECK(talk.say("250 ok\r\n550 no\r\n250 ok\r\n250 taken\r\n") == Step::TransactionDone);
        const TransactionResult result = talk.result();
        REQUIRE(result.refused.size() == 1);
        CHECK(result.refused[0].position == 0);
        CHECK(result.reply.code == 250);
        talk.sent();
        talk.begin();
        CHECK(talk.sent().starts_with("MAIL"));  // the transaction ran to its end
    }
    SECTION("every recipient: whatever is said to the chunk") {
        const std::string reply = GENERATE("503 5.5.1 nobody\r\n", "250 what for?\r\n", "450 no\r\n");
        CHECK(talk.say("250 ok\r\n550 no\r\n450 later\r\n" + reply) == Step::TransactionDone);
        const TransactionResult result = talk.result();
        CHECK(result.refused.size() == 2);
        talk.sent();
        talk.begin();
        CHECK(talk.sent().starts_with("RSET\r\nMAIL"));
    }
    SECTION("the sender") {
        CHECK(talk.say("550 5.7.1 no\r\n503 no\r\n503 no\r\n503 no\r\n") == Step::TransactionDone);
        const TransactionResult result = talk.result();
        CHECK(result.refused.empty());
        CHECK(result.phase == SmtpPhase::Mail);
        CHECK(result.reply.code == 550);
        talk.sent();
        talk.begin();
        CHECK(talk.sent().starts_with("RSET\r\nMAIL"));
    }
    SECTION("the message") {
        const int code = GENERATE(452, 554);
        CHECK(talk.say("250 ok\r\n250 ok\r\n250 ok\r\n" + std::to_string(code) + " no\r\n") == Step::TransactionDone);
        const TransactionResult result = talk.result();
        CHECK(result.reply.code == code);
        CHECK(result.phase == SmtpPhase::EndOfData);
        talk.sent();
        talk.begin();
        CHECK(talk.sent().starts_with("RSET\r\nMAIL"));
    }
    CHECK_FALSE(talk.session.is_chunked());
}

TEST_CASE("lost behind a chunk the outcome is unknown, unless everything was refused", "[X3030][C5321-8][F30]") {
    Talk talk;
    talk.warm_up();
    talk.begin();
    const std::string said = GENERATE("", "250 ok\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n");
    talk.say(said);
    const bool in_time = GENERATE(true, false);
    if (in_time) talk.session.on_lost("connection reset by peer");
    else talk.session.on_timed_out();
    TransactionResult result = talk.result();
    CHECK(result.ending == Ending::Lost);
    CHECK_FALSE(result.outcome_known);

    Talk refused;
    refused.warm_up();
    refused.begin();
    refused.say("550 no\r\n");
    refused.session.on_lost("connection reset by peer");
    CHECK(refused.result().outcome_known);
}

TEST_CASE("421 and out of step behind a chunk", "[X3030][F31][F39]") {
    Talk talk;
    talk.warm_up();
    talk.begin();
    SECTION("421 is the server's word") {
        CHECK(talk.say("250 ok\r\n250 ok\r\n421 4.3.2 bye\r\n") == Step::Closed);
        const TransactionResult result = talk.result();
        CHECK(result.outcome_known);
        CHECK(result.reply.code == 421);
    }
    SECTION("3xx is none") {
        CHECK(talk.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n") == Step::Closed);
        CHECK(talk.result().ending == Ending::Garbage);
    }
    SECTION("a reply that is missing: no refusal is believed") {
        talk.say("250 ok\r\n550 no\r\n250 ok\r\n");
        talk.session.on_timed_out();
        const TransactionResult result = talk.result();
        CHECK(result.refused.empty());
        CHECK_FALSE(result.outcome_known);
    }
    SECTION("a reply too many") {
        CHECK(talk.say("250 ok\r\n250 ok\r\n250 ok\r\n250 taken\r\n250 what?\r\n") == Step::Closed);
        CHECK(talk.result().reply.text == "taken");  // that stands
    }
}
