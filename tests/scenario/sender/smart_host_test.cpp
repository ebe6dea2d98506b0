// Mail to smart hosts: TLS that is verified, the login, and what its failures do to the mail.
#include <algorithm>
#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kInClear = "250-mx.test\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n";
constexpr const char* kSecured = "250-mx.test\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n";

// A smart host that wants a login: "u" with the password "p".
struct World : SenderWorld {
    World() {
        route("x.test", "192.0.2.1:587");
        set_access({.user = "u", .password_file = "/secret"});
        secret_files["/secret"] = "p";
        server().on_command = [this](Peer& peer, const std::string& command) { return answer(peer, command); };
    }
    FakeHost& server() { return host("192.0.2.1:587"); }
    void set_access(config::RouteAccess access) {
        auto shared = std::make_shared<const config::RouteAccess>(std::move(access));
        for (auto& hop : config.routes.at("x.test")) hop.access = shared;
    }
    std::optional<std::string> answer(Peer& peer, const std::string& command) {
        if (command.starts_with("EHLO")) return peer.is_secured ? offer : kInClear;
        if (command.starts_with("AUTH ")) {
            ++logins;
            if (!refusal.empty()) return refusal;
            return command == "AUTH LOGIN" ? "334 VXNlcm5hbWU6\r\n" : "235 2.7.0 ok\r\n";
        }
        if (command == "dQ==") return "334 UGFzc3dvcmQ6\r\n";
        if (command == "cA==") return "235 2.7.0 ok\r\n";
        return std::nullopt;
    }
    // Whether any password went out in clear, or to somebody else.
    bool has_leaked() {
        return std::any_of(server().peers.begin(), server().peers.end(), [](const auto& peer) {
            return !peer->is_secured && std::any_of(peer->commands.begin(), peer->commands.end(),
                                                    [](const auto& c) { return c.starts_with("AUTH") || c == "cA=="; });
        });
    }

    std::string offer = kSecured, refusal;
    unsigned logins = 0;
};

}  // namespace

TEST_CASE("mail to a smart host goes with a login, inside TLS, once per connection", "[X4954]") {
    World w;
    const bool plain = GENERATE(true, false);
    if (!plain) w.offer = "250-mx.test\r\n250 AUTH LOGIN XOAUTH2\r\n";
    w.start();
    w.accept({});
    w.accept({});
    CHECK(w.server().deliveries.size() == 2);
    CHECK(w.server().connects == 1);
    CHECK(w.logins == 1);
    std::vector<std::string> expected{"EHLO v1.test", "STARTTLS", "EHLO v1.test"};
    if (plain) expected.insert(expected.end(), {"AUTH PLAIN AHUAcA==", "EHLO v1.test"});
    else expected.insert(expected.end(), {"AUTH LOGIN", "dQ==", "cA==", "EHLO v1.test"});
    auto commands = w.server().peers[0]->commands;
    commands.resize(expected.size());
    CHECK(commands == expected);
    CHECK(w.server().tls_requests[0].authentication == TlsAuthentication::Verified);
    CHECK(w.server().tls_requests[0].server_name == "192.0.2.1");
    CHECK(w.events(EventType::Delivered).at(0).delivery->tls.ends_with("/verify/certificate"));
}

TEST_CASE("a new connection logs in anew", "[X4954]") {
    World w;
    w.shaping().max_messages_per_connection = 1;
    w.start();
    w.accept({});
    w.accept({});
    CHECK(w.server().connects == 2);
    CHECK(w.logins == 2);
}

TEST_CASE("no password goes to a server that is not secured or has not proved who it is", "[X4954][SEC-4]") {
    World w;
    // The queue's own policy does not matter: the route asks for more.
    w.shaping().tls = GENERATE(config::DeliveryTls::None, config::DeliveryTls::May, config::DeliveryTls::Require);
    const int how = GENERATE(0, 1, 2);
    if (how == 0) w.server().verification = TlsFailure::CertificateNotTrusted;
    if (how == 1) w.server().tls_failure = TlsFailure::NothingInCommon;
    if (how == 2) {
        w.server().on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
            if (command.starts_with("EHLO")) return "250-mx.test\r\n250 AUTH PLAIN LOGIN\r\n";
            return std::nullopt;
        };
    }
    w.start();
    w.accept({});
    CHECK_FALSE(w.has_leaked());
    CHECK(w.logins == 0);
    CHECK(w.server().deliveries.empty());
    const auto deferred = w.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->phase == SmtpPhase::StartTls);
    CHECK(w.count(EventType::Bounced) == 0);
}

TEST_CASE("with TLS first there is no STARTTLS, and nothing is said in clear", "[X8314]") {
    World w;
    w.server().greets_inside_tls = true;
    const bool has_login = GENERATE(true, false);
    if (has_login) w.set_access({.is_implicit_tls = true, .user = "u", .password_file = "/secret"});
    else w.set_access({.is_implicit_tls = true});  // a route to port 465 without more
    w.start();
    w.accept({});
    REQUIRE(w.server().deliveries.size() == 1);
    CHECK(w.server().peers[0]->commands.front() == "EHLO v1.test");
    CHECK(w.server().peers[0]->commands[1] == (has_login ? "AUTH PLAIN AHUAcA==" : "MAIL FROM:<sender@from.test>"));
    CHECK(w.server().tls_requests[0].authentication ==
          (has_login ? TlsAuthentication::Verified : TlsAuthentication::Any));
}

TEST_CASE("TLS first that fails passes the host over and never goes in clear", "[X8314][SEC-4]") {
    World w;
    w.set_access({.is_implicit_tls = true});
    w.server().greets_inside_tls = GENERATE(true, false);
    if (w.server().greets_inside_tls) w.server().tls_failure = TlsFailure::CertificateExpired;
    else w.server().tls_hangs = true;  // it speaks SMTP in clear, which no TLS client takes for TLS
    w.start();
    w.accept({});
    CHECK(w.server().deliveries.empty());
    CHECK(w.server().peers[0]->commands.empty());
    REQUIRE(w.count(EventType::Deferred) == 1);
    CHECK(w.events(EventType::Deferred)[0].delivery->phase == SmtpPhase::StartTls);
}

TEST_CASE("a login that is refused holds the mail with the reason: no attempt counts, nothing bounces", "[X4954]") {
    World w;
    w.refusal = GENERATE("535 5.7.8 wrong password\r\n", "534 5.7.9 too weak\r\n", "500 what?\r\n");
    w.start();
    w.accept({});
    w.accept({});
    CHECK(w.logins == 1);
    CHECK(w.server().deliveries.empty());
    CHECK(w.count(EventType::Deferred) == 0);
    const auto alarms = w.events(EventType::QueueLoginRefused);
    REQUIRE(alarms.size() == 1);
    CHECK(alarms[0].queue == "x.test/v1");
    CHECK(alarms[0].delivery->reply.code == std::stoi(w.refusal));
    CHECK(alarms[0].delivery->phase == SmtpPhase::Auth);
    const std::string held = w.queue("x.test/v1").hold_reason;
    CHECK(held.starts_with("the login of u is refused: " + w.refusal.substr(0, 3)));
    // It is not tried before five minutes are over, and then once.
    w.advance(4min + 59s);
    CHECK(w.logins == 1);
    w.advance(2s);
    CHECK(w.logins == 2);
    w.refusal.clear();
    w.advance(12min);
    CHECK(w.logins <= 4);
    CHECK(w.server().deliveries.size() == 2);
    CHECK(w.events(EventType::Delivered).at(0).attempt == 1);
    // No password in the log or in an event.
    for (const std::string& line : w.log.lines) CHECK(line.find("cA==") == std::string::npos);
}

TEST_CASE("all queues of a route share the rest of a login that was refused", "[X4954]") {
    World w;
    w.config.routes["*"] = w.config.routes.at("x.test");
    w.refusal = "535 5.7.8 wrong\r\n";
    w.start();
    w.accept({});
    w.accept({.to = {"b@y.test"}});
    w.accept({.to = {"c@z.test"}});
    CHECK(w.logins == 1);
    CHECK(w.queue("z.test/v1").hold_reason.starts_with("the login of u is refused"));
    // A retry of an operator tries at once; the others see that it works within a minute.
    w.refusal.clear();
    w.retry({.queue = "x.test/v1"});
    w.advance(1s);
    CHECK(w.server().deliveries.size() == 1);
    w.advance(1min);
    CHECK(w.server().deliveries.size() == 3);
}

TEST_CASE("a reload with the right password goes on within a minute", "[X4954]") {
    World w;
    w.refusal = "535 5.7.8 wrong\r\n";
    w.start();
    w.accept({});
    w.refusal.clear();
    w.set_access({.user = "u", .password_file = "/secret"});
    w.reload();
    w.advance(61s);
    CHECK(w.server().deliveries.size() == 1);
}

TEST_CASE("a login that is refused for now is tried again like any connection", "[X4954]") {
    World w;
    w.refusal = GENERATE("454 4.7.0 later\r\n", "421 4.3.2 bye\r\n", "");
    if (w.refusal.empty()) w.offer = "250 mx.test\r\n";  // AUTH is not offered
    w.start();
    w.accept({});
    const auto deferred = w.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->phase == SmtpPhase::Auth);
    CHECK(w.count(EventType::QueueLoginRefused) == 0);
    w.refusal.clear();
    w.offer = kSecured;
    w.advance(1min);
    CHECK(w.server().deliveries.size() == 1);
}

TEST_CASE("mail that waits for a login expires in its time", "[X4954]") {
    World w;
    w.refusal = "535 5.7.8 wrong\r\n";
    w.start();
    w.accept({.expires_in = 20min});
    w.advance(21min);
    CHECK(w.count(EventType::Expired) == 1);
    CHECK(w.count(EventType::Bounced) == 0);
}
