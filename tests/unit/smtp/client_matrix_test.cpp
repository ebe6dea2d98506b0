// The client's state machine as a table: whatever a server does in whatever state, how the session and the transaction
// end. Rows are states, columns what the server does there; a cell says what came of it:
//
//   ok        goes on as it should            done 2xx|4xx|5xx   the transaction ends with that reply, the session stays
//   bye 421   closed with the server's word   lost   closed, the connection was lost or a deadline passed
//   garbage   closed, out of step             unknown   lost, and the server may have taken the message (RFC 1047)

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "postfleet/smtp/client_session.hpp"

using namespace postfleet;
using namespace postfleet::smtp;
using Step = ClientSession::Step;

namespace {

class Talk {
public:
    explicit Talk(bool pipelining) : session_({.ehlo_name = "out.example", .pipelining = pipelining}) {
        recipients_.emplace_back().address = "a@x.example";
        transaction_.recipients = recipients_;
    }

    // Up to where the session waits for the server in `state`.
    void reach(const std::string& state) {
        static const std::vector<std::pair<std::string, std::string>> kWay{{"greeting", "220 mx\r\n"},
                                                                           {"ehlo", "250-mx\r\n250 PIPELINING\r\n"},
                                                                           {"mail", "250 ok\r\n"},
                                                                           {"rcpt", "250 ok\r\n"},
                                                                           {"data", "354 go\r\n"},
                                                                           {"body", ""},
                                                                           {"dot", "250 ok\r\n"},
                                                                           {"ready", ""},
                                                                           {"quit", ""}};
        for (const auto& [at, reply] : kWay) {
            if (at == state) break;
            say(reply);
            if (at == "ehlo") session_.begin(transaction_, out_);
            if (at == "body") session_.body_written();
            if (at == "ready") session_.quit(out_);
        }
    }

    void say(std::string_view octets) {
        step_ = Step::Wait;
        while (!octets.empty() && !session_.is_closed()) step_ = session_.on_octets(octets, out_);
        if (step_ == Step::TransactionDone) result_ = session_.take_result();
    }

    std::string does(const std::string& what) {
        result_.reset();
        const std::uint64_t before = session_.replies();
        if (what == "close") session_.on_lost("the server closed the connection");
        else if (what == "reset") session_.on_lost("connection reset by peer");
        else if (what == "silence") session_.on_timed_out();
        else say(what);
        if (session_.is_closed() && session_.has_transaction()) result_ = session_.take_result();
        if (!session_.is_closed()) {
            if (result_) return "done " + std::to_string(result_->reply.code);
            return session_.replies() > before ? "ok" : "waits";
        }
        const Ending ending = result_ ? result_->ending : session_.closing_ending();
        if (ending == Ending::Garbage) return "garbage";
        if (ending == Ending::Lost) return result_ && !result_->outcome_known ? "unknown" : "lost";
        return "bye " + std::to_string(result_ ? result_->reply.code : session_.closing_reply().code);
    }

private:
    ClientSession session_;
    std::string out_;
    Step step_ = Step::Wait;
    std::optional<TransactionResult> result_;
    std::vector<Recipient> recipients_;
    ClientTransaction transaction_{.reverse_path = "f@a.example", .recipients = {}, .size_octets = 100};
};

const std::vector<std::pair<std::string, std::string>> kDeeds{
    {"2xx", "250 ok\r\n"},
    {"3xx", "354 go\r\n"},
    {"4xx", "450 later\r\n"},
    {"5xx", "550 no\r\n"},
    {"421", "421 closing\r\n"},
    {"several lines", "450-a\r\n450 b\r\n"},
    {"no code", "hello\r\n"},
    {"000", "000 what\r\n"},
    {"999", "999 what\r\n"},
    {"NUL", std::string("4\0000 x\r\n", 8)},
    {"long line", "450 " + std::string(5000, 'x') + "\r\n"},
    {"endless",
     []() {
         std::string lines;
         for (int i = 0; i < 20'000; ++i) lines += "450-more\r\n";
         return lines;
     }()},
    {"close", "close"},
    {"reset", "reset"},
    {"silence", "silence"},
};

}  // namespace

TEST_CASE("whatever a server does in whatever state ends as the table says",
          "[C5321-4][C5321-6][C5321-8][F30][F31][F35][F36][SEC-12]") {
    // In the order of kDeeds.
    const std::vector<std::string> bad{"garbage", "garbage", "garbage", "garbage", "garbage",
                                       "garbage", "lost",    "lost",    "lost"};
    struct Row {
        std::string state;
        bool pipelining;
        std::vector<std::string> replies;  // 2xx, 3xx, 4xx, 5xx, 421, several lines
        std::string lost = "lost";
    };
    const std::vector<Row> table{
        {"greeting", false, {"ok", "bye 354", "bye 450", "bye 550", "bye 421", "bye 450"}},
        {"ehlo", false, {"ok", "bye 354", "bye 450", "ok", "bye 421", "bye 450"}},  // 5xx: HELO
        {"mail", false, {"ok", "garbage", "done 450", "done 550", "bye 421", "done 450"}},
        {"rcpt", false, {"ok", "garbage", "done 0", "done 0", "bye 421", "done 0"}},  // each has its own reply
        {"data", false, {"garbage", "ok", "done 450", "done 550", "bye 421", "done 450"}},
        {"mail", true, {"ok", "garbage", "ok", "ok", "bye 421", "ok"}},  // the other replies are to come
        {"rcpt", true, {"ok", "garbage", "ok", "ok", "bye 421", "ok"}},
        {"data", true, {"garbage", "ok", "done 450", "done 550", "bye 421", "done 450"}},
        {"body", true, {"garbage", "garbage", "bye 450", "bye 550", "bye 421", "bye 450"}},
        {"dot", true, {"done 250", "garbage", "done 450", "done 550", "bye 421", "done 450"}, "unknown"},
        {"ready", true, {"garbage", "garbage", "garbage", "garbage", "bye 421", "garbage"}},
        {"quit", true, {"bye 250", "bye 354", "bye 450", "bye 550", "bye 421", "bye 450"}},
    };
    for (const Row& row : table) {
        std::vector<std::string> expected = row.replies;
        expected.insert(expected.end(), bad.begin(), bad.end());
        for (std::size_t i = 0; i < kDeeds.size(); ++i) {
            CAPTURE(row.state, row.pipelining, kDeeds[i].first);
            Talk talk(row.pipelining);
            talk.reach(row.state);
            CHECK(talk.does(kDeeds[i].second) == (expected[i] == "lost" ? row.lost : expected[i]));
        }
    }
}

TEST_CASE("what a hostile EHLO offers is read defensively; limits are kept", "[F37][X9422][X1870]") {
    std::string many = "mx";
    for (int i = 0; i < 2000; ++i) many += "\nX-KEYWORD-" + std::to_string(i);
    CHECK(parse_capabilities(many) == Capabilities{});
    CHECK(parse_capabilities("mx\nSIZE 0").max_message_octets == UINT64_MAX);
    CHECK(parse_capabilities("mx\nSIZE 12x").max_message_octets == UINT64_MAX);
    CHECK(parse_capabilities("mx\nSIZE 100\nSIZE 5").max_message_octets == 100);
    const Capabilities limits = parse_capabilities("mx\nLIMITS RCPTMAX=2 MAILMAX=20 RCPTDOMAINMAX=1 FOO=1 BAR");
    CHECK(limits.max_recipients == 2);
    CHECK(limits.max_transactions == 20);
    for (const char* wrong : {"0", "-1", "18446744073709551616", "x", ""}) {
        CHECK(parse_capabilities("mx\nLIMITS RCPTMAX=" + std::string(wrong)).max_recipients == UINT32_MAX);
    }
}

TEST_CASE("priority and delivery deadline are passed on where they are offered", "[X6710][X2852]") {
    using namespace std::chrono_literals;
    const auto mail = [](std::string_view offered, ClientTransaction wishes) {
        ClientSession session({.ehlo_name = "out.example", .pipelining = false});
        std::string out;
        std::string script = "220 mx\r\n";
        std::string_view view = script;
        session.on_octets(view, out);
        script = "250-mx\r\n250 " + std::string(offered) + "\r\n";
        view = script;
        session.on_octets(view, out);
        std::vector<Recipient> recipients(1);
        recipients[0].address = "a@x.example";
        wishes.recipients = recipients;
        wishes.reverse_path = "f@a.example";
        out.clear();
        session.begin(wishes, out);
        return out;
    };
    const WallTime now{1'000'000s};
    const auto by = [now](auto after, DeliverBy::Mode mode, bool trace) {
        ClientTransaction wishes{};
        wishes.deliver_by = DeliverBy{now + after, mode, trace};
        wishes.now = now;
        return wishes;
    };
    ClientTransaction priority{};
    priority.mt_priority = std::int8_t{-3};
    CHECK(mail("MT-PRIORITY MIXER", priority) == "MAIL FROM:<f@a.example> MT-PRIORITY=-3\r\n");
    CHECK(mail("HELP", priority) == "MAIL FROM:<f@a.example>\r\n");
    CHECK(mail("DELIVERBY", by(600s, DeliverBy::Mode::Return, false)) == "MAIL FROM:<f@a.example> BY=600;R\r\n");
    CHECK(mail("DELIVERBY 900", by(600s, DeliverBy::Mode::Return, false)) == "MAIL FROM:<f@a.example>\r\n");
    CHECK(mail("DELIVERBY 900", by(600s, DeliverBy::Mode::Notify, true)) == "MAIL FROM:<f@a.example> BY=600;NT\r\n");
    CHECK(mail("DELIVERBY", by(-5s, DeliverBy::Mode::Notify, false)) == "MAIL FROM:<f@a.example> BY=-5;N\r\n");
    CHECK(mail("DELIVERBY", by(-5s, DeliverBy::Mode::Return, false)) == "MAIL FROM:<f@a.example>\r\n");
    CHECK(mail("HELP", by(600s, DeliverBy::Mode::Return, false)) == "MAIL FROM:<f@a.example>\r\n");
}
