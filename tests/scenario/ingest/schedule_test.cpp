// When mail is to be sent, until when, and how urgently: FUTURERELEASE, DELIVERBY, MT-PRIORITY.
#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

using namespace std::chrono_literals;

std::string with(const std::string& keys) {
    std::string text = kConfiguration;
    text.insert(text.find(", tenant: acme}"), ", " + keys);
    return text;
}

const std::string kOffering = with("max_future_release: 1d, deliver_by: true, mt_priority: true");

std::string mail(Client& client, const std::string& parameters) {
    client.say("RSET\r\n");
    return client.say("MAIL FROM:<a@b.example>" + parameters + "\r\n");
}

const AcceptedMessage& take(IngestFixture& f, const std::string& parameters) {
    Client client(f);
    client.say("EHLO c.example\r\n");
    REQUIRE(mail(client, parameters).starts_with("250"));
    client.say("RCPT TO:<c@d.example>\r\nDATA\r\n");
    REQUIRE(client.say("x\r\n.\r\n").starts_with("250"));
    return f.handover.accepted.back();
}

}  // namespace

TEST_CASE("what a listener offers of schedules stands in EHLO, with what holds now", "[X4865][X2852][X6710][X9422]") {
    IngestFixture f(kOffering);
    Client client(f);
    const std::string reply = client.say("EHLO c.example\r\n");
    CHECK(reply.find("250-FUTURERELEASE 86400 2026-01-02T00:00:00") != std::string::npos);
    CHECK(reply.find("250-DELIVERBY\r\n") != std::string::npos);
    CHECK(reply.find("250-MT-PRIORITY\r\n") != std::string::npos);
    CHECK(reply.find("250-LIMITS RCPTMAX=1000\r\n") != std::string::npos);
}

TEST_CASE("X-Schedule holds mail for its windows where it is honoured, and is cut out") {
    const auto say = [](IngestFixture& f, const std::string& schedule) {
        Client client(f);
        client.say("EHLO c.example\r\n");
        REQUIRE(mail(client, "").starts_with("250"));
        client.say("RCPT TO:<c@d.example>\r\nDATA\r\n");
        return client.say("X-Schedule: " + schedule + "\r\nSubject: x\r\n\r\nx\r\n.\r\n");
    };
    IngestFixture f;  // it is 2026-01-01T00:00:00Z
    const WallTime now = f.executor.wall_now();
    REQUIRE(say(f, "2026-01-01 02:00 / 2026-01-01 03:00, 2026-01-02 02:00 / 2026-01-02 03:00").starts_with("250"));
    const AcceptedMessage& held = f.handover.accepted.back();
    CHECK(held.message->windows.size() == 2);
    CHECK(held.tasks.at(0).due == now + 2h);
    CHECK(held.tasks.at(0).accepted_at == now + 26h);
    CHECK(held.tasks.at(0).expires_at == now + 27h);
    CHECK(held.message->send_at == now + 2h);
    CHECK(held.last_chunk->find("X-Schedule") == std::string::npos);
    REQUIRE(say(f, "2025-12-31 23:00 / 2026-01-01 03:00").starts_with("250"));
    CHECK(f.handover.accepted.back().tasks.at(0).due == now);
    CHECK(say(f, "tomorrow").starts_with("550 5.6.0 X-Schedule: a window is start / end: 'tomorrow'"));
    CHECK(say(f, std::string(5000, '1')).starts_with("550 5.6.0 X-Schedule: too long"));
    CHECK(say(f, "2025-12-31 22:00 / 2025-12-31 23:00").starts_with("550 5.4.7 X-Schedule: the last window is over"));

    std::string ignoring = kConfiguration;
    ignoring.replace(ignoring.find("honour"), 6, "ignore");
    IngestFixture plain(ignoring);
    REQUIRE(say(plain, "tomorrow").starts_with("250"));
    CHECK(plain.handover.accepted.back().message->windows.empty());

    IngestFixture counted(kConfiguration + "expiry_counts_from: acceptance\n");
    REQUIRE(say(counted, "2026-01-01 02:00 / 2026-01-01 03:00").starts_with("250"));
    CHECK(counted.handover.accepted.back().tasks.at(0).accepted_at == now);
    CHECK(counted.handover.accepted.back().tasks.at(0).due == now + 2h);
}

TEST_CASE("held mail is due later, and its expiry counts from then", "[X4865]") {
    IngestFixture f(kOffering);
    const WallTime now = f.executor.wall_now();
    const AcceptedMessage held = take(f, " HOLDFOR=3600");
    CHECK(held.message->accepted_at == now);
    CHECK(held.message->send_at == now + 1h);
    CHECK(held.tasks.at(0).due == now + 1h);
    CHECK(held.tasks.at(0).accepted_at == now + 1h);
    CHECK_FALSE(held.tasks.at(0).expires_at);
    CHECK(take(f, " HOLDUNTIL=2026-01-01T12:00:00Z").tasks.at(0).due == now + 12h);
    CHECK(take(f, " HOLDUNTIL=2025-01-01T12:00:00Z").tasks.at(0).due == now);
    CHECK(take(f, " HOLDFOR=86400").tasks.at(0).due == now + 24h);
}

TEST_CASE("mail that is no use after a time expires then, counted from when it may be sent", "[X2852]") {
    IngestFixture f(kOffering);
    const WallTime now = f.executor.wall_now();
    CHECK(take(f, " BY=600;R").tasks.at(0).expires_at == now + 10min);
    CHECK(take(f, " BY=600;rt HOLDFOR=3600").message->expires_at == now + 70min);
}

TEST_CASE("by-mode and trace stay with the message; mail to be notified of does not expire", "[X2852]") {
    IngestFixture f(kOffering);
    const WallTime now = f.executor.wall_now();
    using Mode = DeliverBy::Mode;
    CHECK(take(f, " BY=600;RT").message->deliver_by == DeliverBy{now + 10min, Mode::Return, true});
    const AcceptedMessage late = take(f, " BY=-20;n");
    CHECK(late.message->deliver_by == DeliverBy{now - 20s, Mode::Notify, false});
    CHECK_FALSE(late.message->expires_at);
    CHECK_FALSE(late.tasks.at(0).expires_at);
    CHECK(take(f, " BY=+0;NT HOLDFOR=60").message->deliver_by == DeliverBy{now + 1min, Mode::Notify, true});
    CHECK_FALSE(take(f, "").message->deliver_by);
}

TEST_CASE("a priority of the client goes before that of the pool", "[X6710]") {
    IngestFixture f(kOffering + "bindings: [{listener: relay, virtual_mta: transactional}]\n");
    CHECK(take(f, "").tasks.at(0).priority == Priority::High);
    CHECK(take(f, " MT-PRIORITY=-3").tasks.at(0).priority == Priority::Low);
    CHECK(take(f, " MT-PRIORITY=0").message->priority == Priority::Normal);
    CHECK(take(f, " MT-PRIORITY=9").tasks.at(0).priority == Priority::High);
    CHECK(take(f, " MT-PRIORITY=-9").message->mt_priority == -9);
    CHECK_FALSE(take(f, "").message->mt_priority);
}

TEST_CASE("REQUIRETLS is for secured connections, and goes before TLS-Required: No", "[X8689]") {
    IngestFixture f;
    Client client(f);
    CHECK(client.say("EHLO c.example\r\n").find("REQUIRETLS") == std::string::npos);
    CHECK(mail(client, " REQUIRETLS").starts_with("555 5.5.4"));
    const auto wish = [&f](const std::string& parameters, const std::string& header) {
        Client sender(f, "192.0.2.7", Client::Wire::Tls);
        CHECK(sender.say("EHLO c.example\r\n").find("250-REQUIRETLS\r\n") != std::string::npos);
        REQUIRE(mail(sender, parameters).starts_with("250"));
        sender.say("RCPT TO:<c@d.example>\r\nDATA\r\n");
        REQUIRE(sender.say(header + "\r\nx\r\n.\r\n").starts_with("250"));
        return f.handover.accepted.back().message->tls_wish;
    };
    CHECK(wish("", "From: a@b.example\r\n") == TlsWish::NotGiven);
    CHECK(wish(" REQUIRETLS", "From: a@b.example\r\n") == TlsWish::Required);
    CHECK(wish(" requiretls", "TLS-Required: No\r\n") == TlsWish::Required);
    CHECK(wish("", "TLS-Required: no \r\n") == TlsWish::Waived);
    CHECK(wish("", "tls-required:\r\n No\r\n") == TlsWish::Waived);
    CHECK(wish("", "TLS-Required: Yes\r\n") == TlsWish::NotGiven);
    Client sender(f, "192.0.2.7", Client::Wire::Tls);
    sender.say("EHLO c.example\r\n");
    CHECK(mail(sender, " REQUIRETLS=1").starts_with("501 5.5.4"));
    CHECK(mail(sender, " REQUIRETLS REQUIRETLS").starts_with("501 5.5.4"));
}

TEST_CASE("schedules that are wrong, twice, or too far ahead are refused", "[X4865][X2852][X6710]") {
    IngestFixture f(with("max_future_release: 1d, deliver_by: true, mt_priority: true, max_errors: 1000"));
    Client client(f);
    client.say("EHLO c.example\r\n");
    for (const char* const wrong : {" HOLDFOR",
                                    " HOLDFOR=",
                                    " HOLDFOR=-1",
                                    " HOLDFOR=1h",
                                    " HOLDFOR=1234567890",
                                    " HOLDFOR=1 HOLDFOR=1",
                                    " HOLDFOR=1 HOLDUNTIL=2026-01-01T12:00:00Z",
                                    " HOLDUNTIL=2026-01-01",
                                    " HOLDUNTIL=2026-02-30T00:00:00Z",
                                    " HOLDUNTIL=2026-01-01T12:00:00+01:00",
                                    " HOLDUNTIL=2026-01-01T24:00:00Z",
                                    " BY=600",
                                    " BY=0;R",
                                    " BY=-5;R",
                                    " BY=;R",
                                    " BY=60;X",
                                    " BY=60;R BY=60;N",
                                    " BY=+;N",
                                    " BY=--5;N",
                                    " BY=60;RX",
                                    " BY=60;T",
                                    " BY=1234567890;N",
                                    " MT-PRIORITY=10",
                                    " MT-PRIORITY=-0",
                                    " MT-PRIORITY=+1",
                                    " MT-PRIORITY=-",
                                    " MT-PRIORITY=1 MT-PRIORITY=1"}) {
        INFO(wrong);
        CHECK(mail(client, wrong) == "501 5.5.4 Bad parameter syntax\r\n");
    }
    CHECK(mail(client, " HOLDFOR=86401") == "501 5.5.4 Held longer than is offered\r\n");
    CHECK(mail(client, " HOLDUNTIL=2026-01-02T00:00:01Z") == "501 5.5.4 Held longer than is offered\r\n");
    CHECK(f.refused(Reason::HeldTooLong) == 2);
}

namespace {

const char* const kUsers = R"(
hostname: mx.example
tenants:
  acme: {send_as: ["*"], max_future_release: 2h, deliver_by: true}
  plain: {send_as: ["*"]}
users:
  heir: {tenant: acme, certificate: "1111111111111111111111111111111111111111111111111111111111111111"}
  own: {tenant: acme, certificate: "2222222222222222222222222222222222222222222222222222222222222222",
        max_future_release: 0s, deliver_by: false, mt_priority: true}
  usual: {tenant: plain, certificate: "3333333333333333333333333333333333333333333333333333333333333333"}
listeners: {relay: {address: "127.0.0.1:2525", auth: optional, auth_without_tls: true, relay_from: ["192.0.2.0/24"], %s}}
virtual_mtas: {tx: {}}
)";

struct UserWorld : IngestFixture {
    explicit UserWorld(const std::string& keys) {
        std::string text = kUsers;
        text.replace(text.find("%s"), 2, keys);
        const auto loaded = config_files::load_text(text);
        INFO(config_files::to_string(loaded.problems));
        REQUIRE(loaded.config);
        rules = ListenerRules::make(*loaded.config, loaded.config->listeners.at("relay"),
                                    routing::Snapshot::compile(*loaded.config), nullptr,
                                    std::make_shared<const UserDirectory>(*loaded.config, Passwords{}, accounts));
    }

    // What EHLO says of schedules, and what becomes of asking for each.
    std::string offers(char user) {
        Client client(*this);
        if (user != ' ') client.intake().secured({.certificate_fingerprint = std::string(64, user)});
        const std::string ehlo = client.say("EHLO c.example\r\n");
        std::string offered;
        const auto ask = [&](const std::string& keyword, const std::string& parameter) {
            const bool stands = ehlo.find("250-" + keyword) != std::string::npos;
            const std::string reply = mail(client, " " + parameter);
            CHECK(reply == (stands ? "250 2.1.0 Ok\r\n" : "555 5.5.4 Parameter not known or not offered\r\n"));
            if (stands) offered += keyword + " ";
        };
        ask("FUTURERELEASE", "HOLDFOR=60");
        ask("DELIVERBY", "BY=600;R");
        ask("MT-PRIORITY", "MT-PRIORITY=3");
        return offered;
    }

    AccountBook accounts;
};

}  // namespace

TEST_CASE("who may say when its mail is sent is a right of user, tenant and listener, the nearest one first",
          "[X4865][X2852][X6710][X4954]") {
    UserWorld closed("dsn: true");
    CHECK(closed.offers(' ').empty());
    CHECK(closed.offers('1') == "FUTURERELEASE DELIVERBY ");
    CHECK(closed.offers('2') == "MT-PRIORITY ");
    CHECK(closed.offers('3').empty());
    UserWorld open("max_future_release: 1d, deliver_by: true, mt_priority: true");
    CHECK(open.offers(' ') == "FUTURERELEASE DELIVERBY MT-PRIORITY ");
    CHECK(open.offers('1') == "FUTURERELEASE DELIVERBY MT-PRIORITY ");
    CHECK(open.offers('2') == "MT-PRIORITY ");
    CHECK(open.offers('3') == "FUTURERELEASE DELIVERBY MT-PRIORITY ");
}

TEST_CASE("how far ahead mail may be held is that user's own right, too", "[X4865]") {
    UserWorld f("max_future_release: 1d");
    Client client(f);
    client.intake().secured({.certificate_fingerprint = std::string(64, '1')});
    CHECK(client.say("EHLO c.example\r\n").find("250-FUTURERELEASE 7200 ") != std::string::npos);
    CHECK(mail(client, " HOLDFOR=7200").starts_with("250"));
    CHECK(mail(client, " HOLDFOR=7201") == "501 5.5.4 Held longer than is offered\r\n");
    CHECK(f.refused(Reason::HeldTooLong) == 1);
}

}  // namespace postfleet::ingest
