// Logins that do not end at once: checks that take time, are refused for want of room, or outlive the connection.
#include "ingest_fixture.hpp"
#include "postfleet/base/base64.hpp"
#include "postfleet/crypto/openssl_digests.hpp"

namespace postfleet::ingest {
namespace {

const std::string kWithUsers = R"(
hostname: mx.example
tenants: {acme: {send_as: [acme.example]}}
users: {shop: {tenant: acme, certificate: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}
listeners:
  relay: {address: "127.0.0.1:2525", auth: required, auth_without_tls: true, max_errors: 1000, mail_merge: true}
virtual_mtas: {tx: {}}
)";

// Answers when it is told to.
class SlowVerifier final : public PasswordVerifier {
public:
    void verify(std::shared_ptr<const StoredPassword> stored, Secret password,
                Completion<PasswordVerdict> done) override {
        users_known.push_back(stored != nullptr);
        passwords.emplace_back(password.view());
        waiting.push_back(std::move(done));
    }
    void answer(PasswordVerdict verdict) {
        for (auto& done : std::exchange(waiting, {})) {
            done.on->post([run = std::move(done.run), verdict]() mutable { run(verdict); });
        }
    }
    std::vector<bool> users_known;
    std::vector<std::string> passwords;
    std::vector<Completion<PasswordVerdict>> waiting;
};

struct LoginFixture : IngestFixture {
    LoginFixture() : IngestFixture(kWithUsers) {
        const auto loaded = config_files::load_text(kWithUsers);
        REQUIRE(loaded.config);
        services.reset(new AuthServices{verifier, {digests, "a secret of 16 octets"}, {}});
        rules = ListenerRules::make(
            *loaded.config, loaded.config->listeners.at("relay"), routing::Snapshot::compile(*loaded.config), services,
            std::make_shared<const UserDirectory>(*loaded.config,
                                                  Passwords{{"shop", std::make_shared<StoredPassword>()}}, accounts));
    }
    crypto::OpensslDigests digests;
    SlowVerifier verifier;
    AccountBook accounts;
    std::shared_ptr<AuthServices> services;
};

std::string plain_line(const std::string& user, const std::string& password) {
    std::string message(1, '\0');
    message.append(user).append(1, '\0').append(password);
    return "AUTH PLAIN " + base64_encode(message) + "\r\n";
}

}  // namespace

TEST_CASE("a client that logs in waits for the check, and its pipelined commands with it [X4954]", "[login]") {
    LoginFixture f;
    Client client(f);
    client.say("EHLO client.example\r\n");
    CHECK(client.say(plain_line("shop", "right") + "MAIL FROM:<a@acme.example>\r\n").empty());
    REQUIRE(f.verifier.waiting.size() == 1);
    CHECK(f.verifier.passwords.front() == "right");
    f.verifier.answer(PasswordVerdict::Match);
    CHECK(client.hear() == "235 2.7.0 Authentication successful\r\n250 2.1.0 Ok\r\n");
}

TEST_CASE("no room for a check is 454 4.7.0, and nobody has failed [SEC-9]", "[login]") {
    LoginFixture f;
    Client client(f);
    client.say("EHLO client.example\r\n");
    for (int i = 0; i < 20; ++i) {
        client.say(plain_line("shop", "right"));
        f.verifier.answer(PasswordVerdict::Busy);
        CHECK(client.hear().starts_with("454 4.7.0 "));
    }
    CHECK(f.refused(Reason::AuthBusy) == 20);
    CHECK(f.refused(Reason::AuthFailed) == 0);
}

TEST_CASE("a user who does not exist is checked like one who does [SEC-9]", "[login]") {
    LoginFixture f;
    Client client(f);
    client.say("EHLO client.example\r\n");
    std::vector<std::string> replies;
    for (const char* user : {"shop", "nobody"}) {
        client.say(plain_line(user, "wrong"));
        f.verifier.answer(PasswordVerdict::NoMatch);
        replies.push_back(client.hear());
    }
    CHECK(f.verifier.users_known == std::vector<bool>{true, false});
    CHECK(replies[0] == replies[1]);
    CHECK(replies[0].starts_with("535 5.7.8 "));
}

TEST_CASE("who guesses from one network waits, for one account first and for all of them in the end [SEC-9]",
          "[login]") {
    LoginFixture f;
    const auto attempt = [&f](const std::string& user, const std::string& address) {
        Client client(f, address);
        client.say("EHLO client.example\r\n");
        const std::string at_once = client.say(plain_line(user, "wrong"));
        f.verifier.answer(PasswordVerdict::NoMatch);
        return at_once + client.hear();
    };
    for (int i = 0; i < 4; ++i) CHECK(attempt("shop", "192.0.2.1").starts_with("535"));
    CHECK(attempt("shop", "192.0.2.99").starts_with("454 4.7.0"));
    CHECK(attempt("shop", "198.51.100.1").starts_with("535"));  // its owner, elsewhere, is not locked out
    for (int i = 0; i < 47; ++i) attempt("user" + std::to_string(i), "192.0.2.2");
    CHECK(attempt("another", "192.0.2.3").starts_with("421 4.7.0"));
    CHECK(attempt("another", "198.51.100.1").starts_with("535"));
}

TEST_CASE("a connection may go while its password is being checked", "[login]") {
    LoginFixture f;
    {
        Client client(f);
        client.say("EHLO client.example\r\n");
        client.say(plain_line("shop", "right"));
        client.lose();
    }
    f.verifier.answer(PasswordVerdict::Match);
    f.executor.run_until_idle();
    CHECK(f.handover.admission().open);
}

TEST_CASE("a reload between challenge and response asks for the login again", "[login]") {
    LoginFixture f;
    Client client(f);
    client.say("EHLO client.example\r\n");
    CHECK(client.say("AUTH LOGIN\r\n").starts_with("334 "));
    client.intake().use(f.rules);
    CHECK(client.say("c2hvcA==\r\n").starts_with("454 4.7.0"));
    CHECK(client.say("AUTH LOGIN\r\n").starts_with("334 "));
}

TEST_CASE("a user and a tenant have limits over all their connections, which a reload does not forget [SEC-10]",
          "[login]") {
    LoginFixture f;
    const auto log_in = [&](Client& client) {
        client.say("EHLO client.example\r\n" + plain_line("shop", "right"));
        f.verifier.answer(PasswordVerdict::Match);
        return client.hear();
    };
    const std::string mail = "MAIL FROM:<a@acme.example>\r\n";
    std::string limited = kWithUsers;
    limited.replace(limited.find("tenant: acme,"), 13, "tenant: acme, max_connections: 2, max_message_rate: 4/h,");
    limited.replace(limited.find("[acme.example]"), 14, "[acme.example], max_recipient_rate: 2/h");
    const auto load = [&] {
        const auto loaded = config_files::load_text(limited);
        REQUIRE(loaded.config);
        f.rules = ListenerRules::make(
            *loaded.config, loaded.config->listeners.at("relay"), routing::Snapshot::compile(*loaded.config),
            f.services,
            std::make_shared<const UserDirectory>(*loaded.config,
                                                  Passwords{{"shop", std::make_shared<StoredPassword>()}}, f.accounts));
    };
    load();
    Client first(f), second(f);
    auto third = std::make_unique<Client>(f);
    for (Client* client : {&first, &second, third.get()}) CHECK(log_in(*client).starts_with("235 "));
    CHECK(first.say(mail) == "250 2.1.0 Ok\r\n");
    CHECK(second.say(mail) == "250 2.1.0 Ok\r\n");
    CHECK(third->say(mail) == "421 4.7.0 Too many connections of this user, try later\r\n");
    CHECK(f.refused(Reason::TooManyConnectionsOfUser) == 1);
    CHECK(first.say("RCPT TO:<1@r.example>\r\nRCPT TO:<2@r.example>\r\n") == "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n");
    CHECK(second.say("RCPT TO:<3@r.example>\r\n") ==
          "450 4.7.1 Too many recipients of this tenant (limit 2/h), try again in 1800 seconds\r\n");
    second.lose();
    load();
    Client fourth(f);
    log_in(fourth);
    CHECK(fourth.say(mail + "RSET\r\n" + mail + "RSET\r\n" + mail) ==
          "250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n"
          "450 4.7.1 Too many messages of this user (limit 4/h), try again in 900 seconds\r\n");
}

TEST_CASE("mail merge does not let a user send as somebody else, for any recipient [SEC-8]", "[login]") {
    LoginFixture f;
    Client client(f);
    client.say("EHLO client.example\r\n" + plain_line("shop", "right"));
    f.verifier.answer(PasswordVerdict::Match);
    REQUIRE(client.hear().find("235") != std::string::npos);
    REQUIRE(client.say("XMRG FROM:<a@acme.example>\r\n").starts_with("250"));
    client.say("XDFN *from=boss@bank.example\r\n");
    CHECK(client.say("RCPT TO:<c@d.example>\r\n") == "550 5.7.1 You may not send as bank.example\r\n");
    client.say("XDFN who=one@acme.example field=X\r\nRCPT TO:<one@d.example>\r\n");
    client.say("XDFN who=one@acme.example field=From\r\nRCPT TO:<two@d.example>\r\n");
    const auto send = [&client](const std::string& header) {
        REQUIRE(client.say("XPRT 1 LAST\r\n").starts_with("354"));
        return client.say(header + "\r\nbody\r\n.\r\n");
    };
    CHECK(send("From: [who]\r\n[field]: boss@bank.example\r\n") ==
          "550 5.7.1 You may not send as bank.example (header field From)\r\n");
    client.say("XMRG FROM:<a@acme.example>\r\nXDFN who=one@acme.example\r\nRCPT TO:<one@d.example>\r\n");
    CHECK(send("From: \"[who]\" [*from]\r\nSubject: x\r\n").starts_with("250"));
}

}  // namespace postfleet::ingest
