// What the client is told when the store is full, slow, broken, or when the client itself goes (promises P1 to P3).
#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

using support::FakeHandover;

const std::string kMail = "From: a@sender.example\r\n\r\nbody\r\n.\r\n";

std::string large_mail(std::size_t octets) {
    std::string mail = "X-Job: big\r\nFrom: a@sender.example\r\n\r\n";
    while (mail.size() < octets) mail += std::string(98, 'x') + "\r\n";
    return mail;
}

}  // namespace

TEST_CASE("250 is not said before the store has said ok", "[P1][S5321-8]") {
    IngestFixture f;
    f.handover.mode = FakeHandover::Mode::Hold;
    Client client(f);
    client.begin();
    CHECK(client.say(kMail + "NOOP\r\n").empty());
    f.executor.advance(std::chrono::seconds(5));
    CHECK(client.hear().empty());
    f.handover.release({});
    const std::string reply = client.hear();
    CHECK(reply.starts_with("250 2.0.0 Ok: queued as "));
    CHECK(reply.ends_with("\r\n250 2.0.0 Ok\r\n"));
}

TEST_CASE("each failure of the store has its reply, and nothing is accepted") {
    struct Row {
        ErrorKind kind;
        std::string reply;
        Reason reason;
    };
    const Row rows[] = {
        {ErrorKind::ResourceExhausted, "451 4.3.2 Too much mail at once, try later\r\n", Reason::StoreBusy},
        {ErrorKind::Unavailable, "451 4.3.0 Could not store the message, try later\r\n", Reason::StoreFailed},
        {ErrorKind::Cancelled, "451 4.3.0 Could not store the message, try later\r\n", Reason::StoreFailed},
        {ErrorKind::Corruption, "451 4.3.0 Could not store the message, try later\r\n", Reason::StoreFailed},
        {ErrorKind::DeadlineExceeded, "451 4.3.0 Could not store the message in time, try later\r\n",
         Reason::StoreTooSlow},
        {ErrorKind::InvalidArgument, "554 5.3.0 The message cannot be stored\r\n", Reason::StoreFailed},
    };
    for (const Row& row : rows) {
        INFO(to_string(row.kind));
        IngestFixture f;
        f.handover.next = Error{row.kind, "because"};
        Client client(f);
        client.begin();
        CHECK(client.say(kMail) == row.reply);
        CHECK(f.handover.accepted.empty());
        CHECK(f.refused(row.reason) == 1);
        // The connection is good for the next try.
        f.handover.next = {};
        client.begin();
        CHECK(client.say(kMail).starts_with("250 "));
        CHECK(f.listener.counters.messages.value() == 1);
    }
}

TEST_CASE("a disk that fills up while the message comes is told as 452") {
    IngestFixture f;
    Client client(f);
    client.begin();
    f.handover.open = {.open = false, .space_low = true, .reason = "disk"};
    f.handover.next = Error{ErrorKind::ResourceExhausted, "disk"};
    CHECK(client.say(kMail) == "452 4.3.1 Insufficient system storage, try later\r\n");
    CHECK(f.refused(Reason::StorageLow) == 1);
}

TEST_CASE("a store that takes nothing is told at MAIL, before the client has sent its message for nothing") {
    IngestFixture f;
    Client client(f);
    client.say("EHLO c\r\n");
    f.handover.open = {.open = false, .space_low = true, .reason = "disk"};
    CHECK(client.say("MAIL FROM:<a@b.example>\r\n") == "452 4.3.1 Insufficient system storage, try later\r\n");
    f.handover.open = {.open = false, .space_low = false, .reason = "latched"};
    CHECK(client.say("MAIL FROM:<a@b.example>\r\n") == "451 4.3.0 Not taking mail right now, try later\r\n");
    CHECK(f.refused(Reason::StorageLow) == 1);
    CHECK(f.refused(Reason::NotAccepting) == 1);
    f.handover.open = {};
    CHECK(client.say("MAIL FROM:<a@b.example>\r\n") == "250 2.1.0 Ok\r\n");
}

TEST_CASE("a store that is too slow means 451, and what it does later is counted", "[P2][S5321-8]") {
    IngestFixture f;
    f.handover.mode = FakeHandover::Mode::Hold;
    Client client(f);
    client.begin();
    CHECK(client.say(kMail).empty());
    f.executor.advance(HandoverDesk::kPatience);
    CHECK(client.hear() == "451 4.3.0 Could not store the message in time, try later\r\n");
    CHECK(f.refused(Reason::StoreTooSlow) == 1);
    f.handover.release({});
    CHECK(client.hear().empty());
    CHECK(f.counters.unanswered.value() == 1);
    CHECK(f.listener.counters.messages.value() == 0);
}

TEST_CASE("a client that goes while the store works may send it again; that is counted", "[P3]") {
    IngestFixture f;
    f.handover.mode = FakeHandover::Mode::Hold;
    Client client(f);
    client.begin();
    client.say(kMail);
    client.lose();
    f.handover.release({});
    f.executor.run_until_idle();
    CHECK(f.counters.unanswered.value() == 1);
    CHECK(f.listener.limits.connections() == 0);
}

TEST_CASE("a large message goes to the store in chunks while it comes, with the header already stripped") {
    IngestFixture f;
    Client client(f);
    client.begin();
    const std::string mail = large_mail(3 * kContentChunkOctets);
    for (std::size_t at = 0; at < mail.size(); at += 60'000) client.say(mail.substr(at, 60'000));
    CHECK(client.say(".\r\n").starts_with("250 "));
    const Message& message = *f.handover.accepted.at(0).message;
    CHECK(message.job == "big");
    const std::string expected = mail.substr(mail.find("From:"));
    CHECK(message.size_octets == expected.size());
    CHECK(message.content_chunks == (expected.size() - 1) / kContentChunkOctets + 1);
    CHECK(f.handover.whole(0) == message.prepended_header + expected);
    for (const auto& [number, chunk] : f.handover.chunks[message.id]) CHECK(chunk->size() == kContentChunkOctets);
}

TEST_CASE("a slow store holds back the client that sends a large message") {
    IngestFixture f;
    f.handover.mode = FakeHandover::Mode::Hold;
    Client client(f);
    client.begin();
    const std::string mail = large_mail(2 * kContentChunkOctets);
    std::size_t at = 0;
    while (client.session().wants_input()) {
        client.say(mail.substr(at, 60'000));
        at += 60'000;
    }
    CHECK(at < kContentChunkOctets + 2 * 60'000);
    CHECK(f.handover.held() == 1);
    f.handover.release({});
    f.executor.run_until_idle();
    CHECK(client.session().wants_input());
}

TEST_CASE("chunks of a message that does not come to its end are discarded") {
    const std::string mail = large_mail(2 * kContentChunkOctets);
    SECTION("because the client goes") {
        IngestFixture f;
        Client client(f);
        client.begin();
        client.say(mail);
        CHECK(f.handover.chunks.size() == 1);
        client.lose();
        CHECK(f.handover.chunks.empty());
    }
    SECTION("because the client goes while a chunk is being stored") {
        IngestFixture f;
        f.handover.mode = FakeHandover::Mode::Hold;
        Client client(f);
        client.begin();
        client.say(mail);
        client.lose();
        f.handover.release({});
        f.executor.run_until_idle();
        CHECK(f.handover.chunks.empty());
    }
    SECTION("because a later chunk finds no space") {
        IngestFixture f;
        Client client(f);
        client.begin();
        client.say(mail);
        CHECK(f.handover.chunks.size() == 1);
        f.handover.next = Error{ErrorKind::ResourceExhausted, "full"};
        CHECK(client.say(mail.substr(mail.find("\r\n\r\n") + 4) + ".\r\n") ==
              "451 4.3.2 Too much mail at once, try later\r\n");
        CHECK(f.handover.chunks.empty());
    }
    SECTION("because the message turns out to be refused") {
        IngestFixture f;
        Client client(f);
        client.begin();
        client.say(mail);
        CHECK(client.say("bare\nLF\r\n.\r\n").starts_with("550 5.5.2 "));
        CHECK(f.handover.chunks.empty());
    }
    SECTION("because the store fails at the end") {
        IngestFixture f;
        Client client(f);
        client.begin();
        client.say(mail);
        f.handover.next = Error{ErrorKind::Unavailable, "latched"};
        CHECK(client.say(".\r\n").starts_with("451 "));
        CHECK(f.handover.chunks.empty());
    }
    SECTION("but not when the store may have it all the same") {
        IngestFixture f;
        Client client(f);
        client.begin();
        client.say(mail);
        f.handover.next = Error{ErrorKind::DeadlineExceeded, "unknown"};
        CHECK(client.say(".\r\n").starts_with("451 "));
        CHECK(f.handover.chunks.size() == 1);
    }
}

}  // namespace postfleet::ingest
