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

TEST_CASE("a response that would make the command line too long waits to be asked for", "[X4954]") {
    const std::string long_password(400, 'p');
    ClientExchange client(Mechanism::Plain, {"user", long_password});
    CHECK_FALSE(client.initial_response());
    CHECK(client.answer().size() == 544);
    CHECK(client.answer() == "*");
    const std::string just_fits(363, 'p');  // with the user: 369 octets, 492 in base64
    CHECK(ClientExchange(Mechanism::Plain, {"user", just_fits}).initial_response()->size() == 492);
}

}  // namespace
}  // namespace postfleet::sasl
