// The login of the client at a smart host, octet for octet (AUTH RFC 4954; implicit TLS RFC 8314).

#include <catch2/catch.hpp>
#include <string>

#include "postfleet/smtp/client_session.hpp"

using namespace postfleet;
using namespace postfleet::smtp;
using State = ClientSession::State;
using Step = ClientSession::Step;

namespace {

class Talk {
public:
    explicit Talk(bool tls_first = false) : session({.ehlo_name = "out.example", .begins_with_handshake = tls_first}) {}

    Step say(std::string_view octets) {
        Step step = Step::Wait;
        while (!octets.empty() && !session.is_closed()) step = session.on_octets(octets, out_);
        return step;
    }
    std::string sent() { return std::exchange(out_, {}); }

    // Up to the login: inside TLS, EHLO is answered.
    void secure() {
        say("220 mx\r\n");
        say("250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n");
        session.start_tls(out_);
        CHECK(say("220 go\r\n") == Step::Handshake);
        session.secured(out_);
        CHECK(say("250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 LIMITS RCPTMAX=1\r\n") == Step::Ready);
        out_.clear();
    }
    void authenticate(std::string_view mechanism, std::string_view response) {
        session.authenticate(mechanism, response, out_);
    }
    void answer(std::string_view line) { session.answer(line, out_); }

    ClientSession session;

private:
    std::string out_;
};

}  // namespace

TEST_CASE("AUTH PLAIN is one line, and then EHLO comes again", "[X4954]") {
    Talk talk;
    talk.secure();
    CHECK(talk.session.capabilities().max_recipients == 1);
    talk.authenticate("PLAIN", "AHUAcA==");
    CHECK(talk.sent() == "AUTH PLAIN AHUAcA==\r\n");
    CHECK(talk.session.phase() == SmtpPhase::Auth);
    CHECK(talk.say("235 2.7.0 hello\r\n") == Step::Wait);
    CHECK(talk.sent() == "EHLO out.example\r\n");
    // What it offers now counts (RFC 9422).
    CHECK(talk.say("250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=50\r\n") == Step::Ready);
    CHECK(talk.session.is_authenticated());
    CHECK(talk.session.capabilities().max_recipients == 50);
    CHECK(talk.session.is_pipelining());
}

TEST_CASE("AUTH LOGIN answers prompt after prompt, whatever they say", "[X4954]") {
    Talk talk;
    talk.secure();
    talk.authenticate("LOGIN", "");
    CHECK(talk.sent() == "AUTH LOGIN\r\n");
    CHECK(talk.say("334 VXNlcm5hbWU6\r\n") == Step::Challenge);
    talk.answer("dQ==");
    CHECK(talk.sent() == "dQ==\r\n");
    CHECK(talk.say("334 \r\n") == Step::Challenge);
    talk.answer("cA==");
    CHECK(talk.sent() == "cA==\r\n");
    CHECK(talk.say("235 ok\r\n") == Step::Wait);
    CHECK(talk.sent() == "EHLO out.example\r\n");
}

TEST_CASE("a server that will not hear EHLO after AUTH keeps what it has offered", "[X4954]") {
    Talk talk;
    talk.secure();
    talk.authenticate("PLAIN", "AHUAcA==");
    talk.say("235 ok\r\n");
    CHECK(talk.say("503 5.5.1 again?\r\n") == Step::Ready);
    CHECK(talk.session.capabilities().max_recipients == 1);
}

TEST_CASE("every refusal of a login closes with the server's word", "[X4954][F31]") {
    Talk talk;
    talk.secure();
    const std::string refusal =
        GENERATE("535 5.7.8 wrong", "534 5.7.9 too weak", "454 4.7.0 later", "421 4.3.2 bye", "500 what?");
    const bool at_once = GENERATE(true, false);
    if (at_once) {
        talk.authenticate("PLAIN", "AHUAcA==");
    } else {
        talk.authenticate("LOGIN", "");
        CHECK(talk.say("334 VXNlcm5hbWU6\r\n") == Step::Challenge);
        talk.answer("dQ==");
    }
    CHECK(talk.say(refusal + "\r\n") == Step::Closed);
    CHECK(talk.session.closing_phase() == SmtpPhase::Auth);
    CHECK(talk.session.closing_ending() == Ending::Replied);
    CHECK(talk.session.closing_reply().code == std::stoi(refusal));
    CHECK_FALSE(talk.session.is_authenticated());
}

TEST_CASE("a server that gets out of step in a login is not answered", "[F39][SEC-12]") {
    Talk talk;
    talk.secure();
    talk.authenticate("LOGIN", "");
    talk.sent();
    const std::string octets = GENERATE("334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n", "334 a\r\n235 ok\r\n", "354 go\r\n",
                                        "235 ok\r\n250 mx\r\n");
    CHECK(talk.say(octets) == Step::Closed);
    CHECK(talk.session.closing_ending() == Ending::Garbage);
    CHECK(talk.sent().find("EHLO") == (octets.starts_with("235") ? 0 : std::string::npos));
}

TEST_CASE("with TLS first the greeting comes inside of it", "[X8314]") {
    Talk talk(true);
    CHECK(talk.session.state() == State::Handshake);
    CHECK(talk.session.phase() == SmtpPhase::StartTls);
    std::string nothing;
    talk.session.secured(nothing);
    CHECK(nothing.empty());
    CHECK(talk.session.is_secured());
    CHECK(talk.say("220 mx\r\n") == Step::Wait);
    CHECK(talk.sent() == "EHLO out.example\r\n");
    CHECK(talk.say("250-mx\r\n250 AUTH=LOGIN\r\n") == Step::Ready);
    CHECK(talk.session.capabilities().auth_login);
    CHECK_FALSE(talk.session.capabilities().auth_plain);
}
