#include "postfleet/sasl/server_exchange.hpp"

#include "support.hpp"

namespace postfleet::sasl {
namespace {

using Kind = ServerStep::Kind;
using namespace std::string_literals;

std::string b64(std::string_view text) { return base64_encode(text); }

TEST_CASE("mechanisms have the names that stand in AUTH") {
    CHECK(parse_mechanism("PLAIN") == Mechanism::Plain);
    CHECK(parse_mechanism("login") == Mechanism::Login);
    CHECK(parse_mechanism("Scram-Sha-256") == Mechanism::ScramSha256);
    CHECK(parse_mechanism("SCRAM-SHA-256-PLUS") == Mechanism::ScramSha256Plus);
    for (const char* name : {"", "PLAINX", "SCRAM-SHA-1", "CRAM-MD5", "EXTERNAL"}) CHECK_FALSE(parse_mechanism(name));
}

TEST_CASE("PLAIN: name and password in the initial response or behind an empty challenge", "[rfc4616]") {
    const bool initial = GENERATE(true, false);
    const std::string authorization = GENERATE("", "tim");
    const std::string response = b64(authorization + "\0tim\0tanstaaftanstaaf"s);
    ServerExchange exchange(Mechanism::Plain, kRules, {});
    ServerStep step = exchange.begin(initial ? std::optional<std::string_view>(response) : std::nullopt);
    if (!initial) {
        CHECK(decoded(step).empty());
        step = exchange.receive(response);
    }
    REQUIRE(step.kind == Kind::CheckPassword);
    CHECK(exchange.user() == "tim");
    CHECK(exchange.take_password().view() == "tanstaaftanstaaf");
    CHECK(exchange.resume(PasswordVerdict::Match).kind == Kind::Succeeded);
}

TEST_CASE("PLAIN: names of Unicode and passwords of any octets but NUL", "[rfc4616]") {
    ServerExchange exchange(Mechanism::Plain, kRules, {});
    REQUIRE(exchange.begin(b64("\0\xc3\xbcser\0p\xe9ss w\x01rd"s)).kind == Kind::CheckPassword);
    CHECK(exchange.user() == "\xc3\xbcser");
    CHECK(exchange.take_password().view() == "p\xe9ss w\x01rd");
}

TEST_CASE("LOGIN: two questions, or one when the name comes along") {
    const bool initial = GENERATE(true, false);
    ServerExchange exchange(Mechanism::Login, kRules, {});
    const std::string name = b64("tim");
    ServerStep step = exchange.begin(initial ? std::optional<std::string_view>(name) : std::nullopt);
    if (!initial) {
        CHECK(step.challenge == "VXNlcm5hbWU6");
        step = exchange.receive(name);
    }
    CHECK(step.challenge == "UGFzc3dvcmQ6");
    REQUIRE(exchange.receive(b64("secret")).kind == Kind::CheckPassword);
    CHECK(exchange.user() == "tim");
    CHECK(exchange.take_password().view() == "secret");
    CHECK(exchange.resume(PasswordVerdict::Match).kind == Kind::Succeeded);
}

TEST_CASE("a check that fails, and one that was not made, have their replies") {
    const auto [verdict, failure, reply] = GENERATE(table<PasswordVerdict, Failure, std::string>(
        {{PasswordVerdict::NoMatch, Failure::Rejected, "535 5.7.8 authentication credentials invalid"},
         {PasswordVerdict::Busy, Failure::Busy, "454 4.7.0 temporary authentication failure, try again later"}}));
    ServerExchange exchange(Mechanism::Plain, kRules, {});
    REQUIRE(exchange.begin(b64("\0tim\0x"s)).kind == Kind::CheckPassword);
    const ServerStep step = exchange.resume(verdict);
    CHECK(step.kind == Kind::Failed);
    CHECK(step.failure == failure);
    CHECK(reply_of(step.failure).to_string() == reply);
}

TEST_CASE("who wants to be somebody else is rejected like a wrong password, after the check") {
    ServerExchange exchange(Mechanism::Plain, kRules, {});
    REQUIRE(exchange.begin(b64("admin\0tim\0right"s)).kind == Kind::CheckPassword);
    const ServerStep step = exchange.resume(PasswordVerdict::Match);
    CHECK(step.kind == Kind::Failed);
    CHECK(step.failure == Failure::Rejected);
}

TEST_CASE("what is not base64, or not a message, is malformed: 501", "[rfc4954]") {
    const std::string response =
        GENERATE("dGlt\n", "dGl", "dGlt=", "dGlu=dGlu", " dGlt", "AHRpbQB0YQ", "\xff\xfe", "====", "AHRpbQB4*",
                 b64("tim"), b64("\0tim"s), b64("\0\0password"s), b64("\0tim\0"s), b64("\0tim\0pass\0word"s),
                 b64("\0\xfftim\0p"s), b64("\0t\nim\0p"s), b64("\xc3\0tim\0p"s),
                 b64("\0" + std::string(256, 'u') + "\0p"s), b64("\0tim\0" + std::string(1025, 'p')), "=");
    ServerExchange exchange(Mechanism::Plain, kRules, {});
    const ServerStep step = exchange.begin(response);
    REQUIRE(step.kind == Kind::Failed);
    CHECK(step.failure == Failure::Malformed);
    CHECK(reply_of(step.failure).to_string() == "501 5.5.2 cannot decode what you sent for AUTH");
}

TEST_CASE("a star cancels, a long line is too long, at every question", "[rfc4954]") {
    const auto mechanism = GENERATE(Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256);
    const bool later = GENERATE(false, true);
    for (const bool star : {true, false}) {
        ServerExchange exchange(mechanism, kRules, kNonce);
        exchange.begin(std::nullopt);
        if (later && mechanism == Mechanism::Login) exchange.receive(b64("tim"));
        if (later && mechanism == Mechanism::ScramSha256) {
            REQUIRE(exchange.receive(ScramClient().first()).kind == Kind::FindKeys);
            REQUIRE(exchange.resume(nullptr).kind == Kind::Challenge);
        }
        const ServerStep step = exchange.receive(star ? "*" : std::string(kMaxLineOctets + 4, 'A'));
        REQUIRE(step.kind == Kind::Failed);
        CHECK(step.failure == (star ? Failure::Cancelled : Failure::TooLong));
        CHECK(reply_of(step.failure).to_string() ==
              (star ? "501 5.7.0 authentication cancelled" : "500 5.5.6 authentication exchange line is too long"));
    }
}

TEST_CASE("SEC-6: a line of the largest size is decoded within bounds") {
    ServerExchange exchange(Mechanism::Plain, kRules, {});
    CHECK(exchange.begin(b64("\0tim\0" + std::string(9000, 'p'))).failure == Failure::Malformed);
}

}  // namespace
}  // namespace postfleet::sasl
