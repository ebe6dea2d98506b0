// Limits at the door: rates per client, listener, process, user and tenant; errors; memory. SEC-10.
#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

std::string with_listener(const std::string& keys, const std::string& more = "", const std::string& relay = "") {
    return "hostname: mx.example\n"
           "listeners:\n  relay: {address: \"127.0.0.1:2525\", relay_from: [" +
           relay + "], " + keys +
           "}\n"
           "virtual_mtas: {tx-1: {}}\n" +
           more;
}

// Nobody is trusted here unless a test says so; to get past RCPT, clients relay and are limited all the same.
std::string limited(const std::string& keys, const std::string& more = "") {
    return with_listener(keys + ", limit_relay_clients: true", more, "192.0.2.0/24, 2001:db8::/32");
}

std::string send(Client& client) {
    const std::string reply = client.say("MAIL FROM:<a@s.example>\r\nRCPT TO:<b@r.example>\r\nDATA\r\n");
    if (reply.find("354") == std::string::npos) return reply;
    return client.say("Subject: x\r\n\r\nx\r\n.\r\n");
}

std::string hello(Client& client) { return client.say("EHLO c.example\r\n"); }

}  // namespace

TEST_CASE("connections per period and client get 421 with the limit and when to come back", "[SEC-10]") {
    IngestFixture fixture(limited("max_connection_rate_per_client: 3/m"));
    for (int i = 0; i < 3; ++i) CHECK(hello(*std::make_unique<Client>(fixture)).find("220 ") == 0);
    Client fourth(fixture);
    CHECK(fourth.hear() == "421 4.7.0 Too many connections from your network (limit 3/m), try again in 20 seconds\r\n");
    CHECK(fourth.session().is_closed());
    CHECK(hello(*std::make_unique<Client>(fixture, "192.0.2.8")).find("220 ") == 0);
    CHECK(fixture.refused(Reason::ConnectionRate) == 1);
    CHECK(fixture.sink.lines.back().find("reason=connection_rate") != std::string::npos);
    fixture.executor.advance(std::chrono::seconds(20));
    CHECK(hello(*std::make_unique<Client>(fixture)).find("220 ") == 0);
    CHECK(fixture.listener.limits.connections() == 1);  // `fourth`, which is closed, but still there
}

TEST_CASE("messages and recipients per period and client get 450, and the session goes on", "[SEC-10]") {
    IngestFixture fixture(limited("max_message_rate_per_client: 2/m, max_recipient_rate_per_client: 3/h"));
    Client client(fixture);
    hello(client);
    CHECK(send(client).find("250 2.0.0") == 0);
    CHECK(client.say("MAIL FROM:<a@s.example>\r\n") == "250 2.1.0 Ok\r\n");
    CHECK(client.say("RCPT TO:<1@r.example>\r\nRCPT TO:<2@r.example>\r\nRCPT TO:<3@r.example>\r\n") ==
          "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n"
          "450 4.7.1 Too many recipients from your network (limit 3/h), try again in 1200 seconds\r\n");
    client.say("RSET\r\n");
    CHECK(client.say("MAIL FROM:<a@s.example>\r\n") ==
          "450 4.7.1 Too many messages from your network (limit 2/m), try again in 30 seconds\r\n");
    fixture.executor.advance(std::chrono::seconds(30));
    CHECK(client.say("MAIL FROM:<a@s.example>\r\n") == "250 2.1.0 Ok\r\n");
    CHECK(fixture.refused(Reason::MessageRate) == 1);
    CHECK(fixture.refused(Reason::RecipientRate) == 1);
}

TEST_CASE("clients of one network share its limits: /32 and /64 unless the listener says otherwise", "[SEC-10]") {
    IngestFixture fixture(limited("max_connections_per_client: 1"));
    Client v4(fixture, "192.0.2.1"), other(fixture, "192.0.2.2");
    Client v6(fixture, "2001:db8::1"), neighbour(fixture, "2001:db8::2"), stranger(fixture, "2001:db8:0:1::1");
    CHECK(v4.hear().find("220") == 0);
    CHECK(other.hear().find("220") == 0);
    CHECK(v6.hear().find("220") == 0);
    CHECK(neighbour.hear() == "421 4.7.0 Too many connections from your network: 1 at the same time\r\n");
    CHECK(stranger.hear().find("220") == 0);
    IngestFixture wide(limited("max_connections_per_client: 1, client_prefix_v4: 24, client_prefix_v6: 48"));
    Client first(wide, "192.0.2.1"), second(wide, "192.0.2.2"), third(wide, "192.0.3.1");
    CHECK(first.hear().find("220") == 0);
    CHECK(second.hear().find("421") == 0);
    CHECK(third.hear().find("220") == 0);
}

TEST_CASE("clients in relay_from are not throttled, but for the limits of listener and process") {
    IngestFixture fixture(
        with_listener("max_message_rate_per_client: 1/h, max_connection_rate_per_client: 1/h, "
                      "max_idle_commands: 2, max_unknown_commands: 1, error_delay: 1s, "
                      "max_message_rate: 4/h",
                      "limits: {max_recipient_rate: 3/h}\n", "192.0.2.0/24"));
    Client unused(fixture);
    Client client(fixture);
    hello(client);
    CHECK(client.say("NOOP\r\nNOOP\r\nNOOP\r\nWHAT\r\nNOOP\r\n").find("421") == std::string::npos);
    CHECK(client.intake().delay_after(5) == Duration::zero());
    for (int i = 0; i < 3; ++i) CHECK(send(client).find("250 2.0.0") == 0);
    CHECK(send(client).find("450 4.7.1 Too many recipients (limit 3/h), try again in 1200 seconds") !=
          std::string::npos);
    client.say("RSET\r\n");
    CHECK(send(client).find("450 4.7.1 Too many messages (limit 4/h), try again in 900 seconds") == 0);
}

TEST_CASE("what one limit refuses costs nothing of the others") {
    IngestFixture fixture(limited("max_message_rate_per_client: 1/h, max_message_rate: 2/h"));
    Client client(fixture), other(fixture, "192.0.2.8");
    hello(client);
    hello(other);
    CHECK(send(client).find("250 2.0.0") == 0);
    for (int i = 0; i < 5; ++i) CHECK(send(client).find("450") == 0);
    CHECK(send(other).find("250 2.0.0") == 0);
    IngestFixture total(limited("max_message_rate_per_client: 9/h, max_message_rate: 1/h"));
    Client one(total);
    hello(one);
    send(one);
    for (int i = 0; i < 20; ++i) CHECK(send(one).find("450 4.7.1 Too many messages (limit 1/h)") == 0);
    total.executor.advance(std::chrono::hours(1));
    CHECK(send(one).find("250 2.0.0") == 0);
}

TEST_CASE("what a client pipelined behind a MAIL that must wait is no mistake, however often") {
    IngestFixture fixture(limited("max_message_rate_per_client: 1/h, max_errors: 3, max_error_rate_per_client: 3/h"));
    Client client(fixture);
    hello(client);
    send(client);
    for (int i = 0; i < 50; ++i) {
        const std::string replies = client.say("MAIL FROM:<a@s.example>\r\nRCPT TO:<b@r.example>\r\nDATA\r\n");
        CHECK(replies.find("450 4.7.1 ") == 0);
        CHECK(replies.find("503 5.5.1 Send MAIL first\r\n503 5.5.1 Send MAIL first\r\n") != std::string::npos);
        CHECK(client.say("MAIL FROM:<a@s.example>\r\nBDAT 4 LAST\r\nabcd").find("503 5.5.1") != std::string::npos);
    }
    CHECK_FALSE(client.session().is_closed());
    CHECK(client.say("RSET\r\nDATA\r\nDATA\r\nDATA\r\n").find("421 4.7.0 Too many errors") != std::string::npos);
}

TEST_CASE("a network that makes too many mistakes is not heard until some are forgotten", "[SEC-9][SEC-10]") {
    IngestFixture fixture(with_listener("max_error_rate_per_client: 4/m"));
    Client client(fixture);
    client.say(
        "EHLO c.example\r\nWHAT\r\nWHAT\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@r.example>\r\nRCPT "
        "TO:<c@r.example>\r\n");
    CHECK(fixture.refused(Reason::RelayingDenied) == 2);
    Client again(fixture);
    CHECK(again.hear() == "421 4.7.0 Too many errors from your network (limit 4/m), try again in 15 seconds\r\n");
    CHECK(fixture.refused(Reason::ErrorRate) == 1);
    Client other(fixture, "192.0.2.8");
    CHECK(other.hear().find("220") == 0);
    fixture.executor.advance(std::chrono::seconds(15));
    Client later(fixture);
    CHECK(later.hear().find("220") == 0);
}

TEST_CASE("unknown commands and commands without a message have limits of their own", "[SEC-10]") {
    IngestFixture fixture(with_listener("max_unknown_commands: 3, max_idle_commands: 4"));
    Client guessing(fixture);
    CHECK(guessing.say("WHAT\r\nWHO\r\nXYZZY\r\nQUIT\r\n")
              .find("500 5.5.1 Command not known\r\n421 4.7.0 Too many unknown commands\r\n") != std::string::npos);
    Client idle(fixture);
    CHECK(idle.say("EHLO c.example\r\nNOOP\r\nRSET\r\nVRFY x\r\nQUIT\r\n")
              .find("421 4.7.0 Too many commands without a message\r\n") != std::string::npos);
    CHECK(fixture.refused(smtp::Refusal::TooManyUnknownCommands) == 1);
    CHECK(fixture.refused(smtp::Refusal::TooManyIdleCommands) == 1);
    IngestFixture sending(limited("max_idle_commands: 4"));
    Client busy(sending);
    hello(busy);
    for (int i = 0; i < 10; ++i) {
        CHECK(busy.say("RSET\r\nNOOP\r\n") == "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
        CHECK(send(busy).find("250 2.0.0") == 0);
    }
}

TEST_CASE("the delay for mistakes grows with each, up to half a minute") {
    IngestFixture fixture(with_listener("error_delay: 500ms"));
    Client client(fixture);
    CHECK(client.intake().delay_after(1) == std::chrono::milliseconds(500));
    CHECK(client.intake().delay_after(4) == std::chrono::seconds(2));
    CHECK(client.intake().delay_after(4'000'000'000u) == std::chrono::seconds(30));
    IngestFixture plain(with_listener("max_errors: 20"));
    Client undelayed(plain);
    CHECK(undelayed.intake().delay_after(10) == Duration::zero());
}

TEST_CASE("a session that has lasted too long ends at its next command, but not inside a transaction", "[SEC-10]") {
    IngestFixture fixture(limited("max_errors: 20"));
    Client client(fixture);
    std::string out;
    hello(client);
    client.say("MAIL FROM:<a@s.example>\r\n");
    client.session().expire(out);
    CHECK(out.empty());
    client.say("RSET\r\n");
    client.session().expire(out);
    CHECK(out == "421 4.7.0 This session has lasted too long, connect again\r\n");
    CHECK(fixture.refused(smtp::Refusal::SessionTooLong) == 1);
}

TEST_CASE("memory for content is counted over all sessions and given back, whatever becomes of a message", "[SEC-10]") {
    IngestFixture fixture(limited("max_message_size: 1MiB"));
    const auto used = [&] { return fixture.process.content.used(); };
    const std::string line(990, 'x');
    Client accepted(fixture), abandoned(fixture), lost(fixture), refused(fixture);
    accepted.begin();
    accepted.say("Subject: x\r\n\r\n" + line);
    CHECK(used() >= line.size());
    CHECK(accepted.say("\r\n.\r\n").find("250") == 0);
    CHECK(used() == 0);
    abandoned.begin();
    abandoned.say("Subject: x\r\n\r\n" + line);
    lost.begin();
    lost.say("Subject: x\r\n\r\n" + line);
    CHECK(used() >= 2 * line.size());
    lost.lose();
    refused.begin();
    std::string large = "Subject: x\r\n\r\n";
    while (large.size() < 2'000'000) large += line + "\r\n";
    CHECK(refused.say(large + ".\r\n").find("552") == 0);
    abandoned.lose();
    CHECK(used() == 0);
}

TEST_CASE("when the memory for content is used up, messages get 451 and nobody's mail is cut", "[SEC-10]") {
    IngestFixture fixture(limited("max_errors: 20", "limits: {memory_for_incoming: 16MiB}\n"));
    const std::string line = std::string(998, 'x') + "\r\n";
    std::vector<std::unique_ptr<Client>> clients;
    std::size_t refused = 0;
    while (!fixture.process.content.is_nearly_full(16 << 20)) {
        REQUIRE(clients.size() < 200);
        clients.push_back(std::make_unique<Client>(fixture));
        clients.back()->begin();
        std::string part = "Subject: x\r\n\r\n";
        while (part.size() < 200'000) part += line;
        clients.back()->say(part);
        CHECK(fixture.process.content.used() <= 16 << 20);
    }
    Client late(fixture);
    hello(late);
    CHECK(late.say("MAIL FROM:<a@s.example>\r\n") == "451 4.3.2 Too much mail at once, try later\r\n");
    for (auto& client : clients) {
        const std::string reply = client->say(".\r\n");
        if (reply.find("451 4.3.2") == 0) ++refused;
        else CHECK(reply.find("250 2.0.0") == 0);
    }
    CHECK(fixture.process.content.used() == 0);
    CHECK(fixture.handover.accepted.size() + refused == clients.size());
    CHECK(send(late).find("250 2.0.0") == 0);  // it recovers by itself
    CHECK(fixture.refused(Reason::MemoryLow) == 1 + refused);
}

TEST_CASE("beyond the memory for content a message under way is read to its end and refused", "[SEC-10]") {
    IngestFixture fixture(limited("max_errors: 20", "limits: {memory_for_incoming: 16MiB}\n"));
    Client client(fixture);
    client.begin();
    REQUIRE(fixture.process.content.resize(0, (16 << 20) - 1000, 16 << 20));
    client.say("Subject: x\r\n\r\n" + std::string(990, 'x') + "\r\n");
    CHECK(client.say(std::string(990, 'y') + "\r\n.\r\nNOOP\r\n") ==
          "451 4.3.2 Too much mail at once, try later\r\n250 2.0.0 Ok\r\n");
    fixture.process.content.resize((16 << 20) - 1000, 0, 0);
    CHECK(fixture.process.content.used() == 0);
    CHECK(send(client).find("250 2.0.0") == 0);
}

TEST_CASE("handshakes beyond the limit get 454, until one of those under way is over", "[SEC-10]") {
    IngestFixture fixture(with_listener("max_errors: 20", "limits: {max_handshakes: 2}\n"));
    Client first(fixture), second(fixture), third(fixture);
    const auto begins = [](Client& client) {
        return client.intake().on_starttls().kind == smtp::Decision::Kind::Accept;
    };
    CHECK(begins(first));
    CHECK_FALSE(first.intake().are_handshakes_many());
    CHECK(begins(second));
    CHECK(second.intake().are_handshakes_many());
    const smtp::Decision refused = third.intake().on_starttls();
    CHECK(refused.kind == smtp::Decision::Kind::Refuse);
    CHECK(refused.reply.code == 454);
    CHECK(fixture.refused(Reason::TooManyHandshakes) == 1);
    first.intake().secured({.protocol = "TLSv1.3"});
    CHECK(begins(third));
    for (Client* client : {&first, &second, &third}) client->lose();
    CHECK(fixture.process.handshakes.taken() == 0);
}

TEST_CASE("clients have less time for their next command when places for connections run out", "[SEC-10][S5321-10]") {
    IngestFixture fixture(with_listener("command_timeout: 5m"));
    fixture.process.max_connections = 32;
    Client client(fixture);
    for (int i = 0; i < 29; ++i) fixture.process.connections.take(32);
    CHECK(client.intake().command_patience() == std::chrono::minutes(5));
    fixture.process.connections.take(32);
    CHECK(client.intake().command_patience() == std::chrono::seconds(10));
    fixture.process.connections.give_back();
    CHECK(client.intake().command_patience() == std::chrono::minutes(5));
}

}  // namespace postfleet::ingest
