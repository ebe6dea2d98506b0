#include "postfleet/smtp/client_session.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace postfleet;
using namespace postfleet::smtp;
using State = ClientSession::State;
using Step = ClientSession::Step;

namespace {

// A driver in memory: `say` plays the server, `sent` is what the client wrote since the last look.
struct Dialogue {
    explicit Dialogue(bool pipelining = true) : session({.ehlo_name = "out.example", .pipelining = pipelining}) {}

    Step say(std::string_view octets) {
        Step step = Step::Wait;
        while (!octets.empty()) {
            step = session.on_octets(octets, sent_);
            if (step == Step::SendBody && !hold_body) {
                sent_ += "<body>.";
                session.body_written();
            }
            if (step == Step::Closed) break;
        }
        return step;
    }
    std::string sent() { return std::exchange(sent_, {}); }

    void open(std::string_view ehlo = "250-mx\r\n250-PIPELINING\r\n250-SIZE 5000\r\n250 8BITMIME\r\n") {
        REQUIRE(say("220 mx\r\n") == Step::Wait);
        REQUIRE(sent() == "EHLO out.example\r\n");
        REQUIRE(say(ehlo) == Step::Ready);
    }

    Step begin(std::vector<std::string> addresses) {
        recipients.clear();
        for (std::string& address : addresses) {
            Recipient recipient;
            recipient.address = std::move(address);
            recipients.push_back(std::move(recipient));
        }
        transaction.recipients = recipients;
        return session.begin(transaction, sent_);
    }

    ClientSession session;
    std::string sent_;
    bool hold_body = false;
    std::vector<Recipient> recipients;
    ClientTransaction transaction{.reverse_path = "from@a.example", .recipients = {}, .size_octets = 1000};
};

std::vector<std::uint32_t> refused(const TransactionResult& result) {
    std::vector<std::uint32_t> out;
    for (const auto& refusal : result.refused) out.push_back(refusal.position);
    return out;
}

}  // namespace

TEST_CASE("with PIPELINING the envelope is one write, the body the next", "[rfc2920][X2920]") {
    Dialogue d;
    d.open();
    CHECK(d.begin({"a@x.example", "b@x.example"}) == Step::Wait);
    CHECK(d.sent() ==
          "MAIL FROM:<from@a.example> SIZE=1000\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
    CHECK(d.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n") == Step::SendBody);
    CHECK(d.sent() == "<body>.");
    CHECK(d.session.state() == State::EndOfData);
    CHECK(d.say("250 2.0.0 queued as 1\r\n") == Step::TransactionDone);
    const TransactionResult result = d.session.take_result();
    CHECK(result.refused.empty());
    CHECK(result.ending == Ending::Replied);
    CHECK(result.phase == SmtpPhase::EndOfData);
    CHECK(result.reply == Reply{250, {2, 0, 0}, "queued as 1"});
    CHECK(d.session.state() == State::Ready);
    d.session.quit(d.sent_);
    CHECK(d.sent() == "QUIT\r\n");
    CHECK(d.say("221 bye\r\n") == Step::Closed);
    CHECK_FALSE(d.session.has_transaction());
}

TEST_CASE("without PIPELINING every command waits for its reply") {
    const bool offered = GENERATE(true, false);
    Dialogue d(!offered);  // switched off by us, or not offered
    d.open(offered ? "250-mx\r\n250 PIPELINING\r\n" : "250 mx\r\n");
    d.begin({"a@x.example", "b@x.example"});
    CHECK(d.sent() == "MAIL FROM:<from@a.example>\r\n");
    d.say("250 ok\r\n");
    CHECK(d.sent() == "RCPT TO:<a@x.example>\r\n");
    d.say("250 ok\r\n");
    CHECK(d.sent() == "RCPT TO:<b@x.example>\r\n");
    d.say("251 forwards\r\n");
    CHECK(d.sent() == "DATA\r\n");
    CHECK(d.say("354 go\r\n") == Step::SendBody);
    CHECK(d.say("250 done\r\n") == Step::TransactionDone);
    CHECK(d.session.take_result().refused.empty());
}

TEST_CASE("a server that does not know EHLO is greeted with HELO", "[rfc5321-3.2]") {
    Dialogue d;
    d.say("220 mx\r\n");
    d.sent();
    CHECK(d.say("502 what?\r\n") == Step::Wait);
    CHECK(d.sent() == "HELO out.example\r\n");
    CHECK(d.say("250 mx\r\n") == Step::Ready);
    CHECK_FALSE(d.session.is_pipelining());
    d.begin({"a@x.example"});
    CHECK(d.sent() == "MAIL FROM:<from@a.example>\r\n");
}

TEST_CASE("a greeting or EHLO that is refused closes before any transaction") {
    for (const auto& [script, phase, code] : std::vector<std::tuple<std::string, SmtpPhase, int>>{
             {"554 no\r\n", SmtpPhase::Greeting, 554},
             {"421 busy\r\n", SmtpPhase::Greeting, 421},
             {"354 eh\r\n", SmtpPhase::Greeting, 354},
             {"220 mx\r\n|451 later\r\n", SmtpPhase::Ehlo, 451},
             {"220 mx\r\n|500 no\r\n|550 no\r\n", SmtpPhase::Ehlo, 550}}) {
        CAPTURE(script);
        Dialogue d;
        std::size_t at = 0;
        for (std::size_t bar; (bar = script.find('|', at)) != std::string::npos; at = bar + 1) {
            d.say(std::string_view(script).substr(at, bar - at));
        }
        CHECK(d.say(std::string_view(script).substr(at)) == Step::Closed);
        CHECK_FALSE(d.session.has_transaction());
        CHECK(d.session.closing_phase() == phase);
        CHECK(d.session.closing_reply().code == code);
    }
}

TEST_CASE("mixed RCPT replies: the message goes to the accepted, the others keep their reply", "[C5321-5]") {
    const bool pipelining = GENERATE(true, false);
    Dialogue d(pipelining);
    d.open();
    d.begin({"a@x.example", "b@x.example", "c@x.example"});
    CHECK(d.say("250 ok\r\n") == Step::Wait);
    CHECK(d.say("550 5.1.1 unknown\r\n") == Step::Wait);
    CHECK(d.say("250 ok\r\n") == Step::Wait);
    CHECK(d.say("450 4.2.2 full\r\n") == Step::Wait);
    CHECK(d.say("354 go\r\n") == Step::SendBody);
    CHECK(d.say("250 done\r\n") == Step::TransactionDone);
    const TransactionResult result = d.session.take_result();
    CHECK(refused(result) == std::vector<std::uint32_t>{0, 2});
    CHECK(result.refused[0].reply == Reply{550, {5, 1, 1}, "unknown"});
    CHECK(result.refused[1].reply == Reply{450, {4, 2, 2}, "full"});
    CHECK(result.reply.code == 250);
}

TEST_CASE("all recipients refused, DATA accepted all the same: a lone dot, and its reply is ignored", "[rfc2920-3.1]") {
    const std::string answer = GENERATE("554 no valid recipients\r\n", "250 nothing\r\n");
    Dialogue d;
    d.open();
    d.begin({"a@x.example"});
    d.sent();
    CHECK(d.say("250 ok\r\n550 no\r\n354 go\r\n") == Step::Wait);
    CHECK(d.sent() == ".\r\n");
    CHECK(d.say(answer) == Step::TransactionDone);
    const TransactionResult result = d.session.take_result();
    CHECK(refused(result) == std::vector<std::uint32_t>{0});
    CHECK(result.outcome_known);

    SECTION("the next transaction starts with RSET, in the same write") {
        d.begin({"b@x.example"});
        CHECK(d.sent() == "RSET\r\nMAIL FROM:<from@a.example> SIZE=1000\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
        d.say("250 flushed\r\n250 ok\r\n250 ok\r\n354 go\r\n");
        CHECK(d.say("250 done\r\n") == Step::TransactionDone);
        CHECK(d.session.take_result().refused.empty());
    }
}

TEST_CASE("all recipients refused without PIPELINING: DATA is never sent") {
    Dialogue d(false);
    d.open();
    d.begin({"a@x.example"});
    d.sent();
    d.say("250 ok\r\n");
    d.sent();
    CHECK(d.say("550 no\r\n") == Step::TransactionDone);
    CHECK(d.sent().empty());
    CHECK(refused(d.session.take_result()) == std::vector<std::uint32_t>{0});
    d.begin({"b@x.example"});
    CHECK(d.sent() == "RSET\r\n");
    d.say("250 ok\r\n");
    CHECK(d.sent() == "MAIL FROM:<from@a.example> SIZE=1000\r\n");
}

TEST_CASE("MAIL refused: every recipient gets that reply, whatever the rest of the group is answered") {
    for (const char* rest : {"503 no mail\r\n503 no rcpt\r\n", "250 ok\r\n554 no\r\n", "550 no\r\n503 no\r\n"}) {
        CAPTURE(rest);
        Dialogue d;
        d.open();
        d.begin({"a@x.example"});
        CHECK(d.say("451 4.7.1 later\r\n") == Step::Wait);
        CHECK(d.say(rest) == Step::TransactionDone);
        const TransactionResult result = d.session.take_result();
        CHECK(result.refused.empty());
        CHECK(result.phase == SmtpPhase::Mail);
        CHECK(result.reply == Reply{451, {4, 7, 1}, "later"});
    }
}

TEST_CASE("MAIL refused and DATA accepted: a lone dot, and MAIL's reply counts") {
    Dialogue d;
    d.open();
    d.begin({"a@x.example"});
    d.sent();
    d.say("550 5.7.1 no\r\n503 x\r\n354 go\r\n");
    CHECK(d.sent() == ".\r\n");
    CHECK(d.say("250 ok\r\n") == Step::TransactionDone);
    CHECK(d.session.take_result().reply.code == 550);
}

TEST_CASE("DATA refused: the accepted recipients get its reply, the refused keep theirs") {
    Dialogue d;
    d.open();
    d.begin({"a@x.example", "b@x.example"});
    CHECK(d.say("250 ok\r\n550 no\r\n250 ok\r\n452 4.3.1 full\r\n") == Step::TransactionDone);
    const TransactionResult result = d.session.take_result();
    CHECK(refused(result) == std::vector<std::uint32_t>{0});
    CHECK(result.phase == SmtpPhase::Data);
    CHECK(result.reply == Reply{452, {4, 3, 1}, "full"});
}

TEST_CASE("the reply to the message decides for the accepted") {
    const int code = GENERATE(250, 452, 554);
    Dialogue d;
    d.open();
    d.begin({"a@x.example"});
    d.say("250 ok\r\n250 ok\r\n354 go\r\n");
    CHECK(d.say(std::to_string(code) + " x\r\n") == Step::TransactionDone);
    CHECK(d.session.take_result().reply.code == code);
    CHECK(d.session.state() == State::Ready);
}

TEST_CASE("a message the server cannot take is not sent at all", "[rfc1870][rfc6531]") {
    Dialogue d;
    d.open();
    SECTION("too large") { d.transaction.size_octets = 5001; }
    SECTION("needs SMTPUTF8") { d.transaction.smtputf8 = true; }
    SECTION("an address would break the command") { d.transaction.reverse_path = "a@b>\r\nRCPT TO:<x@y"; }
    CHECK(d.begin({"a@x.example"}) == Step::TransactionDone);
    CHECK(d.sent().empty());
    const TransactionResult result = d.session.take_result();
    CHECK(result.ending == Ending::Refused);
    CHECK(result.reply.code == 0);
    CHECK(result.reply.enhanced.klass == 5);
    CHECK(d.session.state() == State::Ready);
}

TEST_CASE("8-bit content is declared where that is offered", "[rfc6152]") {
    Dialogue d;
    d.open();
    d.transaction.body_type = BodyType::EightBitMime;
    d.begin({"a@x.example"});
    CHECK(d.sent().starts_with("MAIL FROM:<from@a.example> SIZE=1000 BODY=8BITMIME\r\n"));
}

TEST_CASE("what a submitter asked for by DSN is passed on where that is offered, and nothing where it is not",
          "[X3461][rfc3461-5.2.1]") {
    for (const bool offered : {true, false}) {
        Dialogue d;
        d.open(offered ? "250-mx\r\n250-PIPELINING\r\n250 DSN\r\n" : "250-mx\r\n250 PIPELINING\r\n");
        d.transaction.return_content = ReturnContent::Headers;
        d.transaction.envelope_id = "order 7+1";
        d.recipients.resize(2);
        d.recipients[0].address = "a@x.example";
        d.recipients[1].address = "b@x.example";
        d.recipients[0].notify = kNotifySuccess | kNotifyDelay;
        d.recipients[0].original = "rfc822;list+one@y.example";
        d.transaction.recipients = d.recipients;
        d.session.begin(d.transaction, d.sent_);
        CHECK(d.sent() ==
              (offered ? "MAIL FROM:<from@a.example> RET=HDRS ENVID=order+207+2B1\r\n"
                         "RCPT TO:<a@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;list+2Bone@y.example\r\n"
                         "RCPT TO:<b@x.example>\r\nDATA\r\n"
                       : "MAIL FROM:<from@a.example>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"));
    }
}

TEST_CASE("an X-EnvID that no ENVID can carry is not passed on", "[X3461]") {
    for (const std::string& id : {std::string("gr\xc3\xbcn"), std::string(101, 'x'), std::string(40, '+')}) {
        Dialogue d;
        d.open("250-mx\r\n250 DSN\r\n");
        d.transaction.envelope_id = id;
        d.begin({"a@x.example"});
        CHECK(d.sent() == "MAIL FROM:<from@a.example>\r\n");
    }
}

TEST_CASE("SMTPUTF8 is asked for where a path or the header needs it; without the offer such mail is not sent",
          "[X6531][rfc6531-3.4]") {
    struct Row {
        std::string_view from, to;
        bool header;
        std::string_view status;  // without the offer
    };
    const Row rows[] = {{"a@a.example", "b@x.example", false, ""},
                        {"a@a.example", "b@x.example", true, "5.6.9"},
                        {"\xc3\xa4@a.example", "b@x.example", false, "5.6.7"},
                        {"a@a.example", "\xc3\xbc@x.example", false, "5.6.7"}};
    for (const Row& row : rows) {
        INFO(row.from << " " << row.to);
        for (const bool offered : {true, false}) {
            Dialogue d;
            d.open(offered ? "250-mx\r\n250 SMTPUTF8\r\n" : "250 mx\r\n");
            d.transaction.reverse_path = row.from;
            d.transaction.smtputf8 = row.header;
            const Step step = d.begin({std::string(row.to)});
            const bool needed = !row.status.empty();
            if (offered || !needed) {
                CHECK(step == Step::Wait);
                CHECK(d.sent() == "MAIL FROM:<" + std::string(row.from) + ">" + (needed ? " SMTPUTF8" : "") + "\r\n");
                continue;
            }
            REQUIRE(step == Step::TransactionDone);
            const TransactionResult result = d.session.take_result();
            CHECK(result.ending == Ending::Refused);
            CHECK(result.reply.enhanced.to_string() == row.status);
            CHECK(d.sent().empty());
        }
    }
}

TEST_CASE("a null reverse-path is sent as <>") {
    Dialogue d;
    d.open();
    d.transaction.reverse_path = "";
    d.begin({"a@x.example"});
    CHECK(d.sent().starts_with("MAIL FROM:<> "));
}

namespace {

// The replies that bring a pipelined transaction with two recipients into each state.
const std::vector<std::pair<State, std::string>> kWayTo{
    {State::Mail, ""},
    {State::Rcpt, "250 ok\r\n"},
    {State::Data, "250 ok\r\n250 ok\r\n250 ok\r\n"},
    {State::Body, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
    {State::EndOfData, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
};

Dialogue in_state(State state) {
    Dialogue d;
    d.open();
    d.hold_body = state == State::Body;
    d.begin({"a@x.example", "b@x.example"});
    for (const auto& [way_to, script] : kWayTo) {
        if (way_to == state) d.say(script);
    }
    REQUIRE(d.session.state() == state);
    return d;
}

}  // namespace

TEST_CASE("421 closes in every state and is an answer", "[C5321-6]") {
    for (const auto& [state, script] : kWayTo) {
        CAPTURE(script);
        Dialogue d = in_state(state);
        CHECK(d.say("421 4.3.2 shutting down\r\n") == Step::Closed);
        REQUIRE(d.session.has_transaction());
        const TransactionResult result = d.session.take_result();
        CHECK(result.ending == Ending::Replied);
        CHECK(result.reply == Reply{421, {4, 3, 2}, "shutting down"});
        CHECK(result.outcome_known);
        CHECK(result.touched == (state != State::Mail));
    }
}

TEST_CASE("a loss defers in every state; only after the final dot is the outcome unknown", "[rfc1047][C5321-8]") {
    for (const auto& [state, script] : kWayTo) {
        CAPTURE(script);
        Dialogue d = in_state(state);
        d.session.on_lost("connection reset");
        CHECK(d.session.is_closed());
        REQUIRE(d.session.has_transaction());
        const TransactionResult result = d.session.take_result();
        CHECK(result.ending == Ending::Lost);
        CHECK(result.reply.code == 0);
        CHECK(result.reply.text == "connection reset while " + std::string(doing(state)));
        CHECK(result.outcome_known == (state != State::EndOfData));
        CHECK(result.touched == (state != State::Mail));
    }
}

TEST_CASE("garbage closes in every state") {
    for (const auto& [state, script] : kWayTo) {
        CAPTURE(script);
        Dialogue d = in_state(state);
        CHECK(d.say("HTTP/1.1 400 Bad Request\r\n") == Step::Closed);
        CHECK(d.session.take_result().ending == Ending::Garbage);
    }
}

TEST_CASE("a positive intermediate reply where none can come closes") {
    for (const State state : {State::Mail, State::Rcpt, State::EndOfData}) {
        Dialogue d = in_state(state);
        CHECK(d.say("354 go\r\n") == Step::Closed);
        CHECK(d.session.take_result().ending == Ending::Garbage);
    }
    Dialogue d = in_state(State::Data);
    CHECK(d.say("250 done\r\n") == Step::Closed);
    CHECK(d.session.take_result().ending == Ending::Garbage);
}

TEST_CASE("a refusal in the middle of the body is the server's word, an acceptance is garbage") {
    Dialogue refusing = in_state(State::Body);
    CHECK(refusing.say("552 5.3.4 too big\r\n") == Step::Closed);
    const TransactionResult result = refusing.session.take_result();
    CHECK(result.ending == Ending::Replied);
    CHECK(result.phase == SmtpPhase::Body);
    CHECK(result.reply.code == 552);

    Dialogue accepting = in_state(State::Body);
    CHECK(accepting.say("250 thanks\r\n") == Step::Closed);
    CHECK(accepting.session.take_result().ending == Ending::Garbage);
}

TEST_CASE("a server that answers before it was asked is out of step", "[F39][SEC-4]") {
    SECTION("at the greeting") {
        Dialogue d;
        CHECK(d.say("220 mx\r\n250 mx\r\n") == Step::Closed);
        CHECK(d.session.closing_ending() == Ending::Garbage);
    }
    SECTION("when idle") {
        Dialogue d;
        d.open();
        CHECK(d.say("250 hello\r\n") == Step::Closed);
        CHECK(d.session.closing_ending() == Ending::Garbage);
    }
    SECTION("after 354") {
        Dialogue d;
        d.open();
        d.begin({"a@x.example"});
        CHECK(d.say("250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n") == Step::Closed);
        CHECK(d.session.take_result().ending == Ending::Garbage);
    }
}

TEST_CASE("a result stays what it was when the server says goodbye behind it") {
    Dialogue d = in_state(State::EndOfData);
    std::string_view input = "250 queued\r\n421 bye\r\n";
    CHECK(d.session.on_octets(input, d.sent_) == Step::TransactionDone);
    CHECK(d.session.on_octets(input, d.sent_) == Step::Closed);
    const TransactionResult result = d.session.take_result();
    CHECK(result.ending == Ending::Replied);
    CHECK(result.reply.code == 250);
}

TEST_CASE("recipients that were answered before a loss keep their answer") {
    Dialogue d;
    d.open();
    d.begin({"a@x.example", "b@x.example", "c@x.example"});
    d.say("250 ok\r\n550 no\r\n250 ok\r\n");
    d.session.on_lost("timed out");
    const TransactionResult result = d.session.take_result();
    CHECK(refused(result) == std::vector<std::uint32_t>{0});
    CHECK(result.reply.text == "timed out while sending RCPT TO");
}

TEST_CASE("content that cannot be read ends the transaction on our side") {
    Dialogue d = in_state(State::Body);
    d.session.abort("the spool could not read the content");
    const TransactionResult result = d.session.take_result();
    CHECK(result.ending == Ending::Aborted);
    CHECK(result.outcome_known);
}

TEST_CASE("a refused RSET closes") {
    Dialogue d(false);
    d.open();
    d.begin({"a@x.example"});
    d.say("550 no\r\n");
    d.session.take_result();
    d.begin({"b@x.example"});
    CHECK(d.say("500 what?\r\n") == Step::Closed);
    const TransactionResult result = d.session.take_result();
    CHECK(result.ending == Ending::Garbage);
    CHECK_FALSE(result.touched);
}

TEST_CASE("every dot that starts a line gets another one, across chunks", "[rfc5321-4.5.2][C5321-7]") {
    bool at_line_start = true;
    CHECK(stuff_dots(".a\r\nb.\r\n..\r\n", at_line_start) == "..a\r\nb.\r\n...\r\n");
    CHECK(at_line_start);
    CHECK(stuff_dots(".", at_line_start) == "..");
    CHECK_FALSE(at_line_start);
    CHECK(stuff_dots(".x", at_line_start) == ".x");
    CHECK(stuff_dots("", at_line_start).empty());
    CHECK_FALSE(at_line_start);
}

// --- STARTTLS ------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view kOffersTls = "250-mx\r\n250-PIPELINING\r\n250-SIZE 5000\r\n250 STARTTLS\r\n";

}  // namespace

TEST_CASE("STARTTLS is followed by a handshake and another EHLO, whose answer alone counts", "[X3207][rfc3207-4.2]") {
    Dialogue d;
    d.open(kOffersTls);
    CHECK(d.session.capabilities().starttls);
    d.session.start_tls(d.sent_);
    CHECK(d.sent() == "STARTTLS\r\n");
    CHECK(d.session.phase() == SmtpPhase::StartTls);
    CHECK(d.say("220 go\r\n") == Step::Handshake);
    CHECK(d.sent().empty());
    CHECK_FALSE(d.session.is_secured());
    d.session.secured(d.sent_);
    CHECK(d.sent() == "EHLO out.example\r\n");
    CHECK(d.session.capabilities() == Capabilities{});
    CHECK(d.say("250-mx\r\n250 REQUIRETLS\r\n") == Step::Ready);
    CHECK(d.session.is_secured());
    CHECK(d.session.capabilities().require_tls);
    CHECK_FALSE(d.session.is_pipelining());
    CHECK(d.session.capabilities().max_message_octets == UINT64_MAX);
}

TEST_CASE("octets in clear behind the 220 to STARTTLS close the connection", "[SEC-4][X3207][rfc3207-5]") {
    for (const std::string injected : {"250-mx\r\n250 AUTH PLAIN\r\n", "2", "\r\n", "220 go\r\n"}) {
        Dialogue d;
        d.open(kOffersTls);
        d.session.start_tls(d.sent_);
        CHECK(d.say("220 go\r\n" + injected) == Step::Closed);
        CHECK(d.session.closing_ending() == Ending::Garbage);
        CHECK(d.session.closing_phase() == SmtpPhase::StartTls);
        CHECK(d.session.closing_reply().enhanced == EnhancedStatus{4, 7, 5});
    }
}

TEST_CASE("a reply to STARTTLS that comes with the one to EHLO is not taken for one", "[SEC-4]") {
    Dialogue d;
    CHECK(d.say("220 mx\r\n") == Step::Wait);
    std::string_view octets = "250 STARTTLS\r\n220 go\r\n";
    CHECK(d.session.on_octets(octets, d.sent_) == Step::Ready);
    CHECK(d.session.on_octets(octets, d.sent_) == Step::Closed);
    CHECK(d.session.closing_ending() == Ending::Garbage);
}

TEST_CASE("STARTTLS that is refused closes, with the server's reply", "[X3207]") {
    for (const int code : {421, 454, 501, 554}) {
        Dialogue d;
        d.open(kOffersTls);
        d.session.start_tls(d.sent_);
        CHECK(d.say(std::to_string(code) + " 4.7.0 TLS not available\r\n") == Step::Closed);
        CHECK(d.session.closing_phase() == SmtpPhase::StartTls);
        CHECK(d.session.closing_ending() == Ending::Replied);
        CHECK(d.session.closing_reply().code == code);
    }
}

TEST_CASE("a connection lost in the handshake is lost in the phase of STARTTLS") {
    Dialogue d;
    d.open(kOffersTls);
    d.session.start_tls(d.sent_);
    d.say("220 go\r\n");
    d.session.on_lost("connection reset");
    CHECK(d.session.closing_phase() == SmtpPhase::StartTls);
    CHECK(d.session.closing_reply().text == "connection reset while in the TLS handshake");
}
