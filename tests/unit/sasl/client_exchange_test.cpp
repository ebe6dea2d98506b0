#include "postfleet/sasl/client_exchange.hpp"

#include "support.hpp"

namespace postfleet::sasl {
namespace {

TEST_CASE("our client and our server understand each other") {
    const auto mechanism = GENERATE(Mechanism::Plain, Mechanism::Login);
    ClientExchange client(mechanism, {"tim", "tanstaaf"});
    ServerExchange server(mechanism, kRules, {});
    const auto initial = client.initial_response();
    CHECK(initial.has_value() == (mechanism == Mechanism::Plain));
    ServerStep step = server.begin(initial);
    while (step.kind == ServerStep::Kind::Challenge) step = server.receive(client.answer());
    REQUIRE(step.kind == ServerStep::Kind::CheckPassword);
    CHECK(server.user() == "tim");
    CHECK(server.take_password().view() == "tanstaaf");
}

TEST_CASE("the example of RFC 4616", "[rfc4616]") {
    ClientExchange client(Mechanism::Plain, {"tim", "tanstaaftanstaaf"});
    CHECK(client.initial_response() == "AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
}

TEST_CASE("a server that asks too much is answered with a star") {
    ClientExchange plain(Mechanism::Plain, {"u", "p"});
    plain.initial_response();
    CHECK(plain.answer() == "*");
    ClientExchange login(Mechanism::Login, {"u", "p"});
    CHECK(login.answer() == "dQ==");
    CHECK(login.answer() == "cA==");
    CHECK(login.answer() == "*");
}

TEST_CASE("PLAIN is chosen before LOGIN, and nothing else") {
    CHECK(ClientExchange::choose({"LOGIN", "PLAIN", "GSSAPI"}) == Mechanism::Plain);
    CHECK(ClientExchange::choose({"login"}) == Mechanism::Login);
    CHECK_FALSE(ClientExchange::choose({"SCRAM-SHA-256", "XOAUTH2"}));
    CHECK_FALSE(ClientExchange::choose({}));
}

}  // namespace
}  // namespace postfleet::sasl
