#include "support.hpp"

namespace postfleet::sasl {
namespace {

using Kind = ServerStep::Kind;

const ScramKeys kKeys = ScramKeys::derive(kDigests, "pencil", *base64_decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);

// The whole dialogue; what it ended in.
ServerStep talk(ScramClient& client, const ScramKeys* keys, Mechanism mechanism = Mechanism::ScramSha256,
                ChannelBinding binding = {}) {
    ServerExchange exchange(mechanism, kRules, kNonce, std::move(binding));
    ServerStep step = exchange.begin(client.first());
    if (step.kind == Kind::Failed) return step;
    REQUIRE(step.kind == Kind::FindKeys);
    step = exchange.receive(client.final(decoded(exchange.resume(keys))));
    if (step.kind == Kind::Failed) return step;
    CHECK(decoded(step) == client.expected_signature);
    return exchange.receive("");
}

TEST_CASE("SCRAM-SHA-256: the example of RFC 7677 §3, octet by octet", "[rfc7677]") {
    ServerExchange exchange(Mechanism::ScramSha256, kRules, kNonce);
    CHECK(decoded(exchange.begin(std::nullopt)).empty());
    REQUIRE(exchange.receive(base64_encode("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")).kind == Kind::FindKeys);
    CHECK(exchange.user() == "user");
    CHECK(decoded(exchange.resume(&kKeys)) ==
          "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    CHECK(decoded(exchange.receive(base64_encode("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="
                                                 "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))) ==
          "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    CHECK(exchange.receive("").kind == Kind::Succeeded);
    CHECK(exchange.user() == "user");
}

TEST_CASE("the keys that are stored are those of RFC 5803's form and come back") {
    CHECK(kKeys.to_string() ==
          "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
          ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    CHECK(*ScramKeys::parse(kKeys.to_string()) == kKeys);
}

TEST_CASE("a wrong password, an unknown user and a user without keys look the same from outside") {
    for (const ScramKeys* keys : {&kKeys, static_cast<const ScramKeys*>(nullptr)}) {
        ScramClient client;
        client.password = "wrong";
        const ServerStep step = talk(client, keys);
        CHECK(step.kind == Kind::Failed);
        CHECK(step.failure == Failure::Rejected);
    }
    // Not even the right password helps somebody who is not there.
    ScramClient client;
    CHECK(talk(client, nullptr).failure == Failure::Rejected);
}

TEST_CASE("an unknown user has the same salt at every try, another user another one, and like that of a known one") {
    const auto server_first = [](const std::string& user, const ServerRules& rules) {
        ServerExchange exchange(Mechanism::ScramSha256, rules, kNonce);
        REQUIRE(exchange.begin(base64_encode("n,,n=" + user + ",r=abc")).kind == Kind::FindKeys);
        return decoded(exchange.resume(nullptr));
    };
    const std::string first = server_first("nobody", kRules);
    CHECK(first == server_first("nobody", kRules));
    CHECK(first != server_first("somebody", kRules));
    const ServerRules other{kDigests, "another secret of sixteen or more", 4096};
    CHECK(first != server_first("nobody", other));
    CHECK(value_of(first, "s").size() == base64_encode(kKeys.salt).size());
    CHECK(value_of(first, "i") == "4096");
}

TEST_CASE("names may hold commas and equals signs, coded, and nothing else coded", "[rfc5802]") {
    ServerExchange exchange(Mechanism::ScramSha256, kRules, kNonce);
    REQUIRE(exchange.begin(base64_encode("n,,n=a=2Cb=3Dc,r=abc")).kind == Kind::FindKeys);
    CHECK(exchange.user() == "a,b=c");
}

TEST_CASE("a client's first message that is not one is malformed", "[rfc5802]") {
    const std::string message = GENERATE(
        as<std::string>(), "", "n", "n,", "n,,", "n,,n=user", "n,,n=user,", "n,,n=,r=abc", "n,,r=abc,n=user",
        "x,,n=user,r=abc", "p=,,n=user,r=abc", "p=tls unique,,n=user,r=abc", "n,user,n=user,r=abc", "n,a=,n=user,r=abc",
        "n,,n=us=er,r=abc", "n,,n=us=2cer,r=abc", "n,,n=user,r=", "n,,n=user,r=a b", "n,,n=user,r=abc,",
        "n,,n=user,r=abc,x", "n,,n=user,r=abc,x=", "n,,m=ext,n=user,r=abc", "n,,n=user,r=abc,m=ext", "n,,n=\xff,r=abc",
        "n,,n=us\x01"
        "er,r=abc");
    INFO(message);
    ServerExchange exchange(Mechanism::ScramSha256, kRules, kNonce);
    const ServerStep step = exchange.begin(message.empty() ? "=" : base64_encode(message));
    CHECK(step.kind == Kind::Failed);
    CHECK(step.failure == Failure::Malformed);
}

TEST_CASE("a nonce of the client's beyond the bound is malformed") {
    ServerExchange exchange(Mechanism::ScramSha256, kRules, kNonce);
    const std::string nonce(kMaxClientNonceOctets + 1, 'r');
    CHECK(exchange.begin(base64_encode("n,,n=user,r=" + nonce)).failure == Failure::Malformed);
}

TEST_CASE("extensions that need not be understood are passed over, and signed along", "[rfc5802]") {
    ScramClient client;
    client.bare += ",x=1,y=two";
    CHECK(talk(client, &kKeys).kind == Kind::Succeeded);
}

TEST_CASE("a client's final message that is not one is malformed, one that lies is rejected", "[rfc5802]") {
    const auto [from, to, failure] = GENERATE(table<std::string, std::string, Failure>({
        {"c=biws", "c=biw", Failure::Malformed},
        {"c=biws", "x=biws", Failure::Malformed},
        {"c=biws,", "", Failure::Malformed},
        {",r=", ",x=", Failure::Malformed},
        {",p=", ",q=", Failure::Malformed},
        {",p=", ",p=A", Failure::Malformed},
        {",p=", ",m=1,p=", Failure::Malformed},
        {",p=", ",,p=", Failure::Malformed},
        {"c=biws", "c=eSws", Failure::Rejected},
        {"r=rOpr", "r=xOpr", Failure::Rejected},
        {"k0,", "k1,", Failure::Rejected},
        {"k0,", "k0,x=1,", Failure::Rejected},
    }));
    ServerExchange exchange(Mechanism::ScramSha256, kRules, kNonce);
    ScramClient client;
    REQUIRE(exchange.begin(client.first()).kind == Kind::FindKeys);
    std::string message = *base64_decode(client.final(decoded(exchange.resume(&kKeys))));
    const std::size_t at = message.find(from);
    REQUIRE(at != std::string::npos);
    message.replace(at, from.size(), to);
    INFO(message);
    const ServerStep step = exchange.receive(base64_encode(message));
    CHECK(step.kind == Kind::Failed);
    CHECK(step.failure == failure);
}

TEST_CASE("a lie that is signed is rejected all the same: nonce, binding, authorization identity") {
    SECTION("nonce") {
        ServerExchange exchange(Mechanism::ScramSha256, kRules, kNonce);
        ScramClient client;
        REQUIRE(exchange.begin(client.first()).kind == Kind::FindKeys);
        const std::string server_first = decoded(exchange.resume(&kKeys));
        const std::string message = "c=biws,r=rOprNGfwEbeRWgbNEkqO";
        const ServerStep step = exchange.receive(base64_encode(message + ",p=" + client.proof(server_first, message)));
        CHECK(step.failure == Failure::Rejected);
    }
    SECTION("binding") {
        ScramClient client;
        client.channel_data = "x";
        CHECK(talk(client, &kKeys).failure == Failure::Rejected);
    }
    SECTION("authorization identity") {
        ScramClient client;
        client.gs2_header = "n,a=admin,";
        CHECK(talk(client, &kKeys).failure == Failure::Rejected);
        client.gs2_header = "n,a=user,";
        CHECK(talk(client, &kKeys).kind == Kind::Succeeded);
    }
}

TEST_CASE("what comes behind the server's signature must be empty") {
    ServerExchange exchange(Mechanism::ScramSha256, kRules, kNonce);
    ScramClient client;
    REQUIRE(exchange.begin(client.first()).kind == Kind::FindKeys);
    REQUIRE(exchange.receive(client.final(decoded(exchange.resume(&kKeys)))).kind == Kind::Challenge);
    const std::string more = GENERATE("AAAA", "*");
    CHECK(exchange.receive(more).failure == (more == "*" ? Failure::Cancelled : Failure::Malformed));
}

TEST_CASE("SCRAM-SHA-256-PLUS binds to the TLS connection", "[rfc5802][rfc9266][rfc5929]") {
    const ChannelBinding binding{std::string(32, 'e'), std::string(32, 's'), true};
    const auto [flag, channel_data, good] = GENERATE(table<std::string, std::string, bool>({
        {"p=tls-exporter,,", std::string(32, 'e'), true},
        {"p=tls-server-end-point,,", std::string(32, 's'), true},
        {"p=tls-exporter,,", std::string(32, 's'), false},
        {"p=tls-exporter,,", "", false},
        {"p=tls-unique,,", std::string(32, 'e'), false},
        {"n,,", "", false},
        {"y,,", "", false},
    }));
    ScramClient client;
    client.gs2_header = flag;
    client.channel_data = channel_data;
    const ServerStep step = talk(client, &kKeys, Mechanism::ScramSha256Plus, binding);
    CHECK(step.kind == (good ? Kind::Succeeded : Kind::Failed));
    if (!good) CHECK(step.failure == Failure::Rejected);
}

TEST_CASE("a binding that this connection does not have is rejected, even if the client has none either") {
    ScramClient client;
    client.gs2_header = "p=tls-exporter,,";
    CHECK(talk(client, &kKeys, Mechanism::ScramSha256Plus, {"", std::string(32, 's'), true}).failure ==
          Failure::Rejected);
}

TEST_CASE("a client that could bind, and was told that we cannot, is refused where we can", "[rfc5802]") {
    const bool is_offered = GENERATE(true, false);
    ScramClient client;
    client.gs2_header = "y,,";
    const ServerStep step = talk(client, &kKeys, Mechanism::ScramSha256, {"", "", is_offered});
    CHECK(step.kind == (is_offered ? Kind::Failed : Kind::Succeeded));
}

TEST_CASE("binding is not for the mechanism without -PLUS") {
    ScramClient client;
    client.gs2_header = "p=tls-exporter,,";
    client.channel_data = std::string(32, 'e');
    CHECK(talk(client, &kKeys, Mechanism::ScramSha256, {std::string(32, 'e'), "", true}).failure == Failure::Rejected);
}

}  // namespace
}  // namespace postfleet::sasl
