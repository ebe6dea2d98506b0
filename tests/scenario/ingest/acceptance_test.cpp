// Who may send, and what an accepted message looks like.
#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

const std::string kMail =
    "From: Shop <shop@sender.example>\r\nSubject: Hi\r\nMessage-ID: <1@sender.example>\r\n\r\nbody\r\n";

}  // namespace

TEST_CASE("an accepted message is handed over complete, and 250 carries its id") {
    IngestFixture f;
    Client client(f);
    client.begin("a@sender.example", {"b@one.example", "c@two.example", "d@one.example"});
    const std::string reply = client.say("X-Job: spring\r\nX-EnvID: env-1\r\n" + kMail + "..dot \x80\r\n.\r\n");
    REQUIRE(f.handover.accepted.size() == 1);
    const AcceptedMessage& accepted = f.handover.accepted[0];
    const Message& message = *accepted.message;
    CHECK(reply == "250 2.0.0 Ok: queued as " + message.id.to_string() + "\r\n");
    CHECK(message.reverse_path == "a@sender.example");
    CHECK(message.tenant == "acme");
    CHECK(message.job == "spring");
    CHECK(message.envelope_id == "env-1");
    CHECK(message.listener == "relay");
    CHECK(message.client_address == "192.0.2.7");
    CHECK(message.helo == "client.example");
    CHECK(message.accepted_at == f.executor.wall_now());
    CHECK(message.body_type == BodyType::EightBitMime);
    CHECK(message.has_leading_dots);
    CHECK(message.header_from == "Shop <shop@sender.example>");
    CHECK(message.header_subject == "Hi");
    CHECK(message.header_message_id == "<1@sender.example>");
    CHECK(*accepted.last_chunk == kMail + ".dot \x80\r\n");
    CHECK(message.size_octets == accepted.last_chunk->size());
    CHECK(message.content_chunks == 1);
    CHECK(message.prepended_header == "Received: from client.example ([192.0.2.7])\r\n\tby mx.example with ESMTP id " +
                                          message.id.to_string() + ";\r\n\tThu, 01 Jan 2026 00:00:00 +0000\r\n");
    REQUIRE(accepted.tasks.size() == 2);
    CHECK(accepted.tasks[0].domain == "one.example");
    CHECK(accepted.tasks[0].recipients.size() == 2);
    CHECK(accepted.tasks[0].recipients[1].index == 2);
    CHECK(accepted.tasks[1].domain == "two.example");
    for (const Task& task : accepted.tasks) {
        CHECK(task.key.message == message.id);
        CHECK(task.due == message.accepted_at);
        CHECK(task.accepted_at == message.accepted_at);
        CHECK(task.tenant == "acme");
        CHECK(task.job == "spring");
        CHECK(task.virtual_mta == "tx-1");
        CHECK(task.size_octets == message.size_octets);
    }
    CHECK(f.listener.counters.messages.value() == 1);
    CHECK(f.listener.counters.recipients.value() == 3);
    CHECK(f.listener.counters.octets.value() == message.size_octets);
}

TEST_CASE("the for clause is there for a single recipient only, and HELO is said to be SMTP") {
    IngestFixture f;
    Client client(f);
    client.say("HELO old.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@one.example>\r\nDATA\r\n");
    client.say(kMail + ".\r\n");
    const Message& message = *f.handover.accepted.at(0).message;
    CHECK(message.reverse_path.empty());
    CHECK(message.prepended_header.find(" with SMTP id ") != std::string::npos);
    CHECK(message.prepended_header.find("\r\n\tfor <b@one.example>; Thu") != std::string::npos);
}

TEST_CASE("who is in none of the listener's networks may not relay, and it is counted and logged") {
    IngestFixture f;
    Client client(f, "198.51.100.1");
    CHECK(client.say("EHLO c\r\n").find("250 ENHANCED") != std::string::npos);
    CHECK(client.say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n") ==
          "250 2.1.0 Ok\r\n550 5.7.1 Relaying denied\r\n554 5.5.1 No valid recipients\r\n");
    CHECK(f.refused(Reason::RelayingDenied) == 1);
    CHECK(f.sink.lines.empty());
    client.say("RSET\r\n");
    REQUIRE(f.sink.lines.size() == 1);
    CHECK(f.sink.lines[0].find("relaying_denied") != std::string::npos);
    CHECK(f.sink.lines[0].find("198.51.100.1") != std::string::npos);
}

TEST_CASE("postmaster without a domain is ours") {
    IngestFixture f;
    Client client(f);
    client.begin("a@b.example", {"Postmaster"});
    client.say(".\r\n");
    CHECK(f.handover.accepted.at(0).tasks[0].recipients[0].address == "Postmaster@mx.example");
}

TEST_CASE("a message without a header keeps its text out of ours") {
    IngestFixture f;
    Client client(f);
    client.begin();
    client.say("just text\r\n.\r\n");
    client.begin();
    client.say("\r\nbody only\r\n.\r\n");
    client.begin();
    client.say(".\r\n");
    REQUIRE(f.handover.accepted.size() == 3);
    CHECK(f.handover.whole(0).ends_with("+0000\r\n\r\njust text\r\n"));
    CHECK(f.handover.whole(1).ends_with("+0000\r\n\r\nbody only\r\n"));
    CHECK(f.handover.whole(2).ends_with("+0000\r\n\r\n"));
}

TEST_CASE("a message that has gone round in circles is refused") {
    IngestFixture f;
    Client client(f);
    std::string hops;
    for (int i = 0; i < 101; ++i) hops += "Received: by x; date\r\n";
    client.begin();
    CHECK(client.say(hops + "\r\n.\r\n") == "554 5.4.6 Too many hops, mail loop?\r\n");
    CHECK(f.handover.accepted.empty());
    CHECK(f.refused(Reason::TooManyHops) == 1);
}

TEST_CASE("a header that never ends is refused before it fills memory") {
    IngestFixture f;
    Client client(f);
    client.begin();
    std::string line = "X: " + std::string(995, 'x') + "\r\n";
    std::string reply;
    for (int i = 0; i < 400; ++i) reply += client.say(line);
    reply += client.say(".\r\n");
    CHECK(reply == "552 5.3.4 Message header too big\r\n");
    CHECK(f.handover.chunks.empty());
    CHECK(f.refused(Reason::HeaderTooBig) == 1);
}

TEST_CASE("the session's own refusals are counted by reason") {
    IngestFixture f;
    Client client(f);
    client.say("BAD\r\nMAIL FROM:<a@b.example>\r\n");
    CHECK(f.refused(smtp::Refusal::UnknownCommand) == 1);
    CHECK(f.refused(smtp::Refusal::Sequence) == 1);
}

TEST_CASE("connections beyond the limits are told 421, and free ones are given again") {
    IngestFixture f(kConfiguration);
    auto text = kConfiguration;
    text.replace(text.find("tenant: acme}"), 13, "tenant: acme, max_connections: 2, max_connections_per_client: 1}");
    f.rules = rules_from(text);
    auto first = std::make_unique<Client>(f, "192.0.2.1");
    Client second(f, "192.0.2.1");
    CHECK(second.hear() == "421 4.7.0 Too many connections from your network: 1 at the same time\r\n");
    CHECK(second.session().is_closed());
    Client third(f, "192.0.2.2");
    CHECK(third.hear().starts_with("220 "));
    Client fourth(f, "192.0.2.3");
    CHECK(fourth.hear() == "421 4.3.2 Too many connections, try later\r\n");
    first.reset();
    Client fifth(f, "192.0.2.3");
    CHECK(fifth.hear().starts_with("220 "));
    CHECK(f.listener.limits.connections() == 2);
    CHECK(f.refused(Reason::TooManyConnections) == 1);
    CHECK(f.refused(Reason::TooManyConnectionsOfClient) == 1);
}

TEST_CASE("an accepted message is one log line, which can be switched off") {
    for (const bool on : {true, false}) {
        IngestFixture f(kConfiguration + (on ? "" : "log: {accepted: false}\n"));
        Client client(f);
        client.begin();
        client.say("X-Job: spring\r\n" + kMail + ".\r\n");
        REQUIRE(f.sink.lines.size() == (on ? 1u : 0u));
        if (!on) continue;
        const std::string& line = f.sink.lines[0];
        for (const std::string part : {"event=accepted", "listener=relay", "client=192.0.2.7", "from=a@sender.example",
                                       "recipients=1", "virtual_mta=tx-1", "tenant=acme", "job=spring", "size="}) {
            INFO(line << " / " << part);
            CHECK(line.find(part) != std::string::npos);
        }
    }
}

TEST_CASE("a transaction that ends without a message is one log line, with the last reason") {
    IngestFixture f(kConfiguration + "bindings: [{listener: relay, virtual_mta: tx-1}]\n");
    Client client(f);
    const auto last_line = [&f] { return f.sink.lines.empty() ? std::string() : f.sink.lines.back(); };
    client.begin("a@sender.example", {"b@rcpt.example", "c@rcpt.example"});
    client.say("bare\nline feed\r\n.\r\n");
    REQUIRE(f.sink.lines.size() == 1);
    for (const std::string part : {"event=refused", "listener=relay", "client=192.0.2.7", "helo=client.example",
                                   "from=a@sender.example", "recipients=2", "reason=bare_line_end_in_message"}) {
        INFO(last_line() << " / " << part);
        CHECK(last_line().find(part) != std::string::npos);
    }
    client.begin();
    client.say("X-Virtual-MTA: nobody\r\n" + kMail + ".\r\n");
    REQUIRE(f.sink.lines.size() == 2);
    CHECK(last_line().find("reason=unknown_virtual_mta code=554 reply=") != std::string::npos);
    client.say("MAIL FROM:<a@sender.example>\r\nRSET\r\n");
    REQUIRE(f.sink.lines.size() == 3);
    CHECK(last_line().find("reason=abandoned") != std::string::npos);
    f.handover.next = Error{ErrorKind::Unavailable, "the disk is gone"};
    client.begin();
    client.say(kMail + ".\r\n");
    CHECK(last_line().find("reason=store_failed code=451") != std::string::npos);
    CHECK(last_line().find("recipients=1") != std::string::npos);
}

TEST_CASE("a transaction works by the rules it began with, the next one by the new rules") {
    IngestFixture f;
    Client client(f);
    client.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    auto text = kConfiguration;
    text.replace(text.find("default_virtual_mta: tx-1"), 25, "default_virtual_mta: promo-2");
    const auto changed = rules_from(text);
    client.say("DATA\r\n");
    client.say(kMail + ".\r\n");
    client.intake().use(changed);
    client.begin();
    client.say(kMail + ".\r\n");
    REQUIRE(f.handover.accepted.size() == 2);
    CHECK(f.handover.accepted[0].tasks[0].virtual_mta == "tx-1");
    CHECK(f.handover.accepted[1].tasks[0].virtual_mta == "promo-2");
}

}  // namespace postfleet::ingest
