// Mail merge at the door: what is taken, and what is refused while the client still listens.
#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

std::string with(const std::string& keys) {
    std::string text = kConfiguration;
    text.insert(text.find(", tenant: acme}"), ", mail_merge: true" + keys);
    return text;
}

// A client in a transaction that began with XMRG.
struct Merging {
    explicit Merging(const std::string& keys = "", const std::string& parameters = "")
        : fixture(with(keys)), client(fixture) {
        client.say("EHLO c.example\r\n");
        REQUIRE(client.say("XMRG FROM:<news@shop.example>" + parameters + "\r\n").starts_with("250"));
    }
    std::string rcpt(const std::string& address, const std::string& variables = "") {
        if (!variables.empty()) REQUIRE(client.say("XDFN " + variables + "\r\n").starts_with("250"));
        return client.say("RCPT TO:<" + address + ">\r\n");
    }
    std::string part(const std::string& argument, const std::string& text) {
        REQUIRE(client.say("XPRT " + argument + "\r\n").starts_with("354"));
        return client.say(text + ".\r\n");
    }
    const AcceptedMessage& taken() const { return fixture.handover.accepted.back(); }
    const Task& task(std::size_t n) const { return taken().tasks.at(n); }

    IngestFixture fixture;
    Client client;
};

}  // namespace

TEST_CASE("every recipient of a merged message is a task, and the content is there once") {
    Merging m;
    CHECK(m.rcpt("ann@x.example", "Name=Ann").starts_with("250"));
    CHECK(m.rcpt("bob@x.example", "Name=Bob *parts=2,1").starts_with("250"));
    CHECK(m.part("1", "Subject: [Name]\r\n\r\n").starts_with("250 2.6.0"));
    CHECK(m.part("2 LAST", "Hello [Name]\r\n").starts_with("250 2.0.0 Ok: queued as"));
    REQUIRE(m.taken().tasks.size() == 2);
    CHECK(m.task(0).recipients.at(0).variables.find("name") == "Ann");
    CHECK(m.task(1).recipients.at(0).variables.find("*parts") == "2,1");
    CHECK(m.task(1).recipients.at(0).index == 1);
    CHECK(*m.taken().last_chunk == "Subject: [Name]\r\n\r\nHello [Name]\r\n");
    CHECK(m.taken().message->merge.parts == std::vector<MergePart>{{1, 19}, {2, 14}});
    CHECK(m.taken().message->merge.max_octets == m.fixture.rules->listener.max_message_size);
    CHECK(m.fixture.handover.accepted.size() == 1);
}

TEST_CASE("*schedule gives a recipient delivery windows of its own, instead of the message's") {
    Merging m;
    const WallTime now = m.fixture.executor.wall_now();  // 2026-01-01T00:00:00Z
    REQUIRE(m.rcpt("ann@x.example", "*schedule=\"2026-01-01 02:00 / 2026-01-01 03:00\"").starts_with("250"));
    REQUIRE(m.rcpt("bob@x.example").starts_with("250"));
    REQUIRE(m.client.say("XDFN *schedule=\"2025-12-31 02:00 / 2025-12-31 03:00\"\r\n").starts_with("250"));
    CHECK(m.client.say("RCPT TO:<late@x.example>\r\n").starts_with("550 5.4.7 The last window of *schedule is over"));
    REQUIRE(m.client.say("XDFN *schedule=tomorrow\r\n").starts_with("250"));
    CHECK(m.client.say("RCPT TO:<eve@x.example>\r\n").starts_with("501 5.5.4 The variable *schedule cannot be"));
    REQUIRE(m.part("1 LAST", "X-Schedule: 2026-01-01 01:00 / 2026-01-01 05:00\r\n\r\nhi\r\n").starts_with("250"));
    CHECK(m.task(0).due == now + std::chrono::hours(2));
    CHECK(m.task(0).expires_at == now + std::chrono::hours(3));
    CHECK(m.task(1).due == now + std::chrono::hours(1));
    CHECK(m.task(1).expires_at == now + std::chrono::hours(5));
}

TEST_CASE("fields that are cut out of the first part make it shorter") {
    Merging m;
    m.rcpt("ann@x.example");
    CHECK(m.part("1", "X-Job: spring\r\nBcc: x@y.example\r\nSubject: hi\r\n").starts_with("250"));
    CHECK(m.part("2 LAST", "\r\nbody\r\n").starts_with("250"));
    CHECK(*m.taken().last_chunk == "Subject: hi\r\n\r\nbody\r\n");
    CHECK(m.taken().message->merge.parts == std::vector<MergePart>{{1, 13}, {2, 8}});
    CHECK(m.taken().message->job == "spring");
    CHECK(m.task(0).job == "spring");
}

TEST_CASE("*vmta, *jobid and *priority decide for their recipient, before header and binding") {
    Merging m;
    m.rcpt("ann@x.example", "*vmta=promo-2 *jobid=mine *priority=80");
    m.rcpt("bob@x.example", "*vmta=bulk *priority=1");
    m.rcpt("eve@x.example");
    CHECK(m.part("1 LAST", "X-Virtual-MTA: promo-1\r\nX-Job: all\r\nSubject: x\r\n\r\n").starts_with("250"));
    CHECK(m.task(0).virtual_mta == "promo-2");
    CHECK(m.task(0).job == "mine");
    CHECK(m.task(0).priority == Priority::High);
    CHECK(m.task(1).pool == "bulk");
    CHECK(m.task(1).priority == Priority::Low);
    CHECK(m.task(2).virtual_mta == "promo-1");
    CHECK(m.task(2).job == "all");
}

TEST_CASE("a reserved variable that cannot be that refuses its recipient, and the others stay") {
    Merging m;
    for (const char* variables : {"*parts=0", "*parts=a", "*priority=0", "*priority=101", "*priority=x", "*from=nobody",
                                  "*envid=\"\xc3\xa4\"", "*jobid=\"a\\nb\""}) {
        INFO(variables);
        CHECK(m.rcpt("ann@x.example", variables).starts_with("501 5.5.4"));
    }
    CHECK(m.rcpt("ann@x.example", "*vmta=nowhere").starts_with("550 5.3.5 virtual MTA 'nowhere' does not exist"));
    CHECK(m.rcpt("ann@x.example", "*from=\"<Other@SHOP.example>\"").starts_with("250"));
    CHECK(m.rcpt("bob@x.example", "*from=\"<>\"").starts_with("250"));
    CHECK(m.part("1 LAST", "Subject: x\r\n\r\n").starts_with("250"));
    CHECK(m.task(0).recipients[0].variables.find("*from") == "Other@shop.example");
    CHECK(m.task(1).recipients[0].variables.find("*from") == "");
    CHECK(m.fixture.refused(Reason::BadVariables) == 8);
    CHECK(m.fixture.refused(Reason::UnknownVirtualMta) == 1);
}

TEST_CASE("a part that somebody is to get and that did not come refuses the message") {
    Merging m;
    m.rcpt("ann@x.example", "*parts=1-3");
    m.part("1", "Subject: x\r\n\r\n");
    CHECK(m.part("2 LAST", "two\r\n") == "550 5.6.0 There is no part 3, which ann@x.example is to get\r\n");
    CHECK(m.fixture.handover.accepted.empty());
}

TEST_CASE("variables that are not defined are refused where the listener says so, for the parts that are sent") {
    Merging m(", undefined_variables: refuse");
    m.rcpt("ann@x.example", "Name=Ann *parts=1");
    m.rcpt("bob@x.example", "Name=Bob Gift=Book");
    m.part("1", "Subject: [Name]\r\nTo: [*to]\r\n\r\n");
    CHECK(m.part("2 LAST", "Your [gift]\r\n").starts_with("250"));

    Merging n(", undefined_variables: refuse");
    n.rcpt("ann@x.example", "Name=Ann");
    n.part("1", "Subject: [Name]\r\n\r\n");
    CHECK(n.part("2 LAST", "Your [gift]\r\n") == "550 5.6.0 The variable gift is not defined for ann@x.example\r\n");
    CHECK(n.fixture.refused(Reason::BadVariables) == 1);
}

TEST_CASE("elsewhere they are nothing, or stay as they are written") {
    Merging empty;
    empty.rcpt("ann@x.example");
    CHECK(empty.part("1 LAST", "Subject: [Name]\r\n\r\n").starts_with("250"));
    CHECK(empty.taken().message->merge.undefined == UndefinedVariable::Empty);
    Merging keep(", undefined_variables: keep");
    keep.rcpt("ann@x.example");
    CHECK(keep.part("1 LAST", "Subject: [Name]\r\n\r\n").starts_with("250"));
    CHECK(keep.taken().message->merge.undefined == UndefinedVariable::Keep);
}

TEST_CASE("all variables of a message are bounded: the rest of its recipients is for another one") {
    Merging m;
    const std::string text(30'000, 'x');
    std::size_t taken = 0;
    while (taken < 1000 && m.rcpt("a@x.example", "a=" + text + " ").starts_with("250")) ++taken;
    CHECK(taken == kMaxMergeOctetsOfMessage / (text.size() + 6));
    CHECK(m.rcpt("b@x.example", "a=" + text).starts_with("452 4.5.3"));
    CHECK(m.fixture.process.content.used() >= taken * text.size());
    m.client.say("RSET\r\n");
    CHECK(m.fixture.process.content.used() == 0);
}

TEST_CASE("VERP is for XMRG and MAIL, and its path must fit") {
    Merging m("", " VERP");
    CHECK(m.rcpt("ann@x.example").starts_with("250"));
    CHECK(m.rcpt(std::string(60, 'a') + "@" + std::string(60, 'b') + "." + std::string(60, 'b') + "." +
                 std::string(60, 'b') + ".example")
              .starts_with("501 5.1.7"));
    CHECK(m.part("1 LAST", "x: y\r\n\r\n").starts_with("250"));
    CHECK(m.taken().message->verp);
    m.client.say("MAIL FROM:<a@b.example> VERP\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n");
    CHECK(m.client.say("x: y\r\n\r\n.\r\n").starts_with("250"));
    CHECK(m.taken().message->verp);
    CHECK(m.taken().tasks.size() == 2);
    CHECK_FALSE(m.taken().message->merge);
}

TEST_CASE("the memory that variables hold is given back when the message is accepted") {
    Merging m;
    m.rcpt("ann@x.example", "a=" + std::string(1000, 'x'));
    CHECK(m.fixture.process.content.used() >= 1000);
    CHECK(m.part("1 LAST", "x: y\r\n\r\n").starts_with("250"));
    CHECK(m.fixture.process.content.used() == 0);
}

}  // namespace postfleet::ingest
